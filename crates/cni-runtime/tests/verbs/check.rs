//! CHECK and STATUS.

use cni_runtime::{Error, Network};
use serde_json::json;

use crate::{Scene, endpoint, failing};

#[test]
fn each_plugin_gets_the_last_result() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    scene.answer("two.ADD", r#"echo '{"cniVersion": "1.0.0", "last": true}'"#);
    scene.runtime.add(&network, &endpoint()).unwrap();
    scene.calls();
    scene.runtime.check(&network, &endpoint()).unwrap();
    assert_eq!(scene.calls(), ["one.CHECK", "two.CHECK"]);
    for call in ["one.CHECK", "two.CHECK"] {
        assert_eq!(scene.stdin(call)["prevResult"], json!({"cniVersion": "1.0.0", "last": true}));
    }
}

#[test]
fn the_first_that_misses_something_ends_it() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    scene.runtime.add(&network, &endpoint()).unwrap();
    scene.calls();
    scene.answer("one.CHECK", &failing("gone"));
    let error = scene.runtime.check(&network, &endpoint()).unwrap_err();
    assert_eq!(scene.calls(), ["one.CHECK"]);
    assert_eq!(u32::from(error.code()), 123);
}

#[test]
fn what_is_not_attached_or_not_to_be_checked_is_not_asked_about() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    let error = scene.runtime.check(&network, &endpoint()).unwrap_err();
    assert!(matches!(error, Error::NotAttached { .. }), "{error}");
    let mut unchecked = network.json();
    unchecked["disableCheck"] = json!("true");
    scene.runtime.check(&Network::from_json(unchecked).unwrap(), &endpoint()).unwrap();
    let error = scene.runtime.check(&scene.network("0.3.1", ["one"]), &endpoint()).unwrap_err();
    assert!(matches!(error, Error::CheckUnsupported { .. }), "{error}");
    assert!(scene.calls().is_empty());
}

#[test]
fn status_is_asked_of_each_plugin_since_1_1_0() {
    let scene = Scene::new();
    scene.runtime.status(&scene.network("1.0.0", ["one"])).unwrap();
    assert!(scene.calls().is_empty());
    let network = scene.network("1.1.0", ["one", "two", "three"]);
    scene.runtime.status(&network).unwrap();
    assert_eq!(scene.calls(), ["one.STATUS", "two.STATUS", "three.STATUS"]);
    assert_eq!(scene.stdin("two.STATUS"), json!({"cniVersion": "1.1.0", "name": "net", "type": "two", "key": "two"}));
    scene.answer("two.STATUS", r#"echo '{"code": 51, "msg": "no"}'; exit 1"#);
    let error = scene.runtime.status(&network).unwrap_err();
    assert_eq!((u32::from(error.code()), scene.calls().len()), (51, 2));
}
