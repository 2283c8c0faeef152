//! DEL.

use std::fs;

use cni_runtime::{Endpoint, Error};
use serde_json::json;

use crate::{Scene, endpoint, failing};

#[test]
fn plugins_are_called_in_reverse_with_the_recorded_result() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    let attached = scene.runtime.add(&network, &endpoint()).unwrap();
    scene.calls();
    scene.runtime.del(&network, &endpoint()).unwrap();
    assert_eq!(scene.calls(), ["two.DEL", "one.DEL"]);
    for call in ["two.DEL", "one.DEL"] {
        assert_eq!(scene.stdin(call)["prevResult"], json!({"cniVersion": "1.0.0"}));
    }
    assert!(scene.runtime.cache().read(&attached.attachment()).unwrap().is_none());
}

#[test]
fn a_second_del_succeeds_without_a_result_or_a_namespace() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    scene.runtime.del(&network, &Endpoint::new("c1", "eth0").unwrap()).unwrap();
    assert_eq!(scene.stdin("one.DEL").get("prevResult"), None);
    assert!(scene.environment("one.DEL").contains(&"CNI_NETNS=".to_owned()));
}

#[test]
fn versions_before_0_4_0_know_no_result_on_del() {
    let scene = Scene::new();
    let network = scene.network("0.3.1", ["one"]);
    scene.runtime.add(&network, &endpoint()).unwrap();
    scene.runtime.del(&network, &endpoint()).unwrap();
    assert_eq!(scene.stdin("one.DEL").get("prevResult"), None);

    let network = scene.network("0.3.1", ["one", "two"]);
    scene.answer("two.ADD", &failing("no"));
    scene.runtime.add(&network, &endpoint()).unwrap_err();
    assert_eq!(scene.stdin("two.DEL").get("prevResult"), None, "nor when an ADD is taken back");
}

#[test]
fn a_failure_stops_nothing_and_keeps_the_record() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two", "three"]);
    let attachment = scene.runtime.add(&network, &endpoint()).unwrap().attachment();
    scene.calls();
    scene.answer("three.DEL", &failing("first"));
    fs::remove_file(scene.path("two")).unwrap();
    let error = scene.runtime.del(&network, &endpoint()).unwrap_err();
    assert_eq!(scene.calls(), ["three.DEL", "one.DEL"]);
    let told = error.to_string();
    assert!(told.contains("plugin three: DEL failed: first; and plugin two is not in "), "{told}");
    assert!(matches!(&error, Error::NotDeleted { failures, .. } if failures.len() == 2), "{error:?}");
    assert!(scene.runtime.cache().read(&attachment).unwrap().is_some());

    scene.answer("three.DEL", "");
    scene.install(["two"]);
    scene.runtime.del(&network, &endpoint()).unwrap();
    assert!(scene.runtime.cache().read(&attachment).unwrap().is_none());
}

/// Half of it was written when the power went.
#[test]
fn a_broken_record_does_not_keep_a_container_attached() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    let record = scene.path("cache/results/net-c1-eth0");
    for broken in ["{\"kind\":\"cniCa", "[]", "{\"kind\":\"cniCacheV1\"}", r#"{"cniVersion": "9.9.9"}"#] {
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, broken).unwrap();
        scene.runtime.del(&network, &endpoint()).unwrap();
        assert_eq!(scene.stdin("one.DEL").get("prevResult"), None, "{broken}");
        assert!(!record.exists(), "{broken}");
    }
}

/// What cannot be read may say something.
#[test]
fn a_record_that_cannot_be_read_is_a_failure_after_all_plugins() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    fs::create_dir_all(scene.path("cache/results/net-c1-eth0")).unwrap();
    let error = scene.runtime.del(&network, &endpoint()).unwrap_err();
    assert!(matches!(&error, Error::NotDeleted { failures, .. } if failures.len() == 1), "{error:?}");
    assert_eq!(scene.calls(), ["one.DEL"]);
}

/// What libcni before 0.8 recorded.
#[test]
fn a_result_alone_is_a_record_too() {
    let scene = Scene::new();
    let network = scene.network("0.4.0", ["one"]);
    let record = scene.path("cache/results/net-c1-eth0");
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    fs::write(&record, r#"{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0"}]}"#).unwrap();
    scene.runtime.del(&network, &endpoint()).unwrap();
    assert_eq!(scene.stdin("one.DEL")["prevResult"]["interfaces"][0]["name"], "eth0");
    assert!(!record.exists());
}
