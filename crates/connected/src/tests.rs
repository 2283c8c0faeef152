#![allow(clippy::unwrap_used)]

use netlink::{Namespace, Netns};
use serde_json::json;

use super::*;

fn record() -> Record {
    let namespace = Namespace::of(&Netns::current().unwrap()).unwrap();
    let args = vec![("K8S_POD_NAME".to_owned(), "shop".to_owned())];
    Record { namespace, args, capability_args: Map::new(), config: json!({"name": "web"}) }
}

fn attachment(network: &str, container: &str) -> Attachment {
    Attachment::new(network, container, "eth1").unwrap()
}

#[test]
fn a_record_reads_back_and_is_gone_when_it_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new(dir.path().join("connected"));
    assert_eq!(records.list().unwrap(), [], "no folder");
    records.write(&attachment("web", "c1"), &record()).unwrap();
    assert_eq!(records.list().unwrap(), [(attachment("web", "c1"), record())]);
    records.remove(&attachment("web", "c1")).unwrap();
    records.remove(&attachment("web", "c1")).unwrap();
    assert_eq!(records.list().unwrap(), []);
}

#[test]
fn only_connections_of_the_network_whose_namespaces_exist_are_living() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new(dir.path());
    let mut gone = record();
    gone.namespace.path = dir.path().join("gone");
    let mut another = serde_json::to_value(record()).unwrap();
    another["namespace"]["cookie"] = 1.into();
    records.write(&attachment("web", "c1"), &record()).unwrap();
    records.write(&attachment("shop", "c1"), &record()).unwrap();
    records.write(&attachment("web", "c2"), &gone).unwrap();
    records.write(&attachment("web", "c3"), &serde_json::from_value(another).unwrap()).unwrap();
    let living = records.living(&NetworkName::new("web").unwrap()).unwrap();
    assert_eq!(living, [attachment("web", "c1")]);
}

#[test]
fn a_broken_record_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("web:c1:eth1"), "{").unwrap();
    let error = Records::new(dir.path()).living(&NetworkName::new("web").unwrap()).unwrap_err();
    assert!(error.to_string().contains("web:c1:eth1"), "{error}");
}

#[test]
fn turns_at_a_namespace_are_taken_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (records, own) = (Records::new(dir.path().join("connected")), Netns::current().unwrap());
    let turn = records.take_turn(&own).unwrap();
    let other = std::thread::spawn({
        let records = records.clone();
        move || records.take_turn(&Netns::current().unwrap()).map(drop)
    });
    // Another namespace has nothing to do with it.
    let elsewhere = Netns::run_in_new(Netns::current).unwrap().unwrap();
    records.take_turn(&elsewhere).unwrap();
    assert!(!other.is_finished(), "while the turn is taken");
    drop(turn);
    other.join().unwrap().unwrap();
    assert_eq!(records.list().unwrap(), [], "it is no record");
}

#[test]
fn who_shares_the_folder_keeps_others_from_claiming_it() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::new(dir.path().join("connected"));
    assert!(records.claim().unwrap().is_none(), "no folder");
    let (one, other) = (records.share().unwrap(), records.share().unwrap());
    drop(one);
    assert!(records.claim().unwrap().is_none());
    drop(other);
    assert!(records.claim().unwrap().is_some());
}
