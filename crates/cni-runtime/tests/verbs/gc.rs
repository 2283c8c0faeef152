//! GC.

use cni::Attachment;
use cni_runtime::{Endpoint, Error, Network};
use serde_json::json;

use crate::{Scene, failing};

fn add(scene: &Scene, network: &Network, container: &str) {
    let endpoint = Endpoint::new(container, "eth0").unwrap().in_netns(format!("/run/netns/{container}"));
    scene.runtime.add(network, &endpoint.with_arg("OF", container)).unwrap();
    scene.calls();
}

fn attachment(network: &str, container: &str) -> Attachment {
    Attachment::new(network, container, "eth0").unwrap()
}

fn recorded(scene: &Scene) -> Vec<String> {
    let attached = scene.runtime.cache().list().unwrap().attached;
    attached.iter().map(|attached| format!("{} {}", attached.network, attached.endpoint.container)).collect()
}

/// `net` with two plugins, and `net-c1`, whose records' names begin alike.
#[test]
fn stale_attachments_are_deleted_and_then_each_plugin_collects() {
    let scene = Scene::new();
    let network = scene.network("1.1.0", ["one", "two"]);
    let mut other = network.json();
    other["name"] = json!("net-c1");
    for container in ["c1", "c2"] {
        add(&scene, &network, container);
    }
    add(&scene, &Network::from_json(other).unwrap(), "c1");
    scene.runtime.gc(&network, &[attachment("net", "c2"), attachment("net-c1", "c9")]).unwrap();
    assert_eq!(scene.calls(), ["two.DEL", "one.DEL", "one.GC", "two.GC"]);
    assert_eq!(recorded(&scene), ["net-c1 c1", "net c2"]);
    for variable in ["CNI_ARGS=OF=c1", "CNI_CONTAINERID=c1", "CNI_NETNS=/run/netns/c1"] {
        assert!(scene.environment("one.DEL").contains(&variable.to_owned()), "{variable}");
    }
    let valid = json!([{"containerID": "c2", "ifname": "eth0"}]);
    let expected = json!({
        "type": "two", "key": "two", "cniVersion": "1.1.0", "name": "net",
        "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid
    });
    assert_eq!(scene.stdin("two.GC"), expected);
    assert!(scene.environment("two.GC").contains(&"CNI_CONTAINERID=".to_owned()));
}

#[test]
fn nothing_valid_is_an_empty_list() {
    let scene = Scene::new();
    scene.runtime.gc(&scene.network("1.1.0", ["one"]), &[]).unwrap();
    assert_eq!(scene.stdin("one.GC")["cni.dev/valid-attachments"], json!([]));
}

#[test]
fn failures_stop_nothing() {
    let scene = Scene::new();
    let network = scene.network("1.1.0", ["one", "two"]);
    add(&scene, &network, "c1");
    add(&scene, &network, "c2");
    scene.answer("one.GC", &failing("no"));
    scene.answer("two.DEL", &format!("[ $CNI_CONTAINERID = c2 ] || {{ {}; }}", failing("stuck")));
    let error = scene.runtime.gc(&network, &[]).unwrap_err();
    assert_eq!(scene.calls(), ["two.DEL", "one.DEL", "two.DEL", "one.DEL", "one.GC", "two.GC"]);
    assert_eq!(recorded(&scene), ["net c1"]);
    assert!(matches!(&error, Error::NotCollected { failures, .. } if failures.len() == 2), "{error:?}");
}

#[test]
fn before_1_1_0_there_is_only_del_and_with_disable_gc_nothing() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    add(&scene, &network, "c1");
    let mut disabled = network.json();
    disabled["disableGC"] = json!(true);
    scene.runtime.gc(&Network::from_json(disabled).unwrap(), &[]).unwrap();
    assert!(scene.calls().is_empty());
    scene.runtime.gc(&network, &[]).unwrap();
    assert_eq!(scene.calls(), ["one.DEL"]);
}

#[test]
fn an_attachment_is_deleted_by_the_plugins_that_made_it() {
    let scene = Scene::new();
    add(&scene, &scene.network("1.0.0", ["one", "two"]), "c1");
    scene.runtime.gc(&scene.network("1.0.0", ["three"]), &[]).unwrap();
    assert_eq!(scene.calls(), ["two.DEL", "one.DEL"]);
    add(&scene, &scene.network("1.0.0", ["one"]), "c1");
    scene.runtime.gc(&scene.network("1.0.0", ["one", "beside"]), &[]).unwrap();
    assert_eq!(scene.calls(), ["beside.DEL", "one.DEL"], "it may have had one of the network's own folder");
}
