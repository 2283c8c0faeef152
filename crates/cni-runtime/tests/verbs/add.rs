//! ADD, and its rollback.

use cni_runtime::{CacheError, Endpoint, Error, PluginError};
use serde_json::json;

use crate::{Scene, endpoint, failing, plugin_error};

const FIRST: &str = r#"echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]}'"#;

#[test]
fn each_plugin_gets_the_result_of_the_one_before() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    let last = r#"{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24"}],"own":{"key":[1]}}"#;
    scene.answer("one.ADD", FIRST);
    scene.answer("two.ADD", &format!("echo '{last}'"));
    let attached = scene.runtime.add(&network, &endpoint()).unwrap();
    assert_eq!(scene.calls(), ["one.ADD", "two.ADD"]);
    assert_eq!(attached.result.to_string(), last, "as it was printed");
    assert_eq!(scene.stdin("one.ADD"), json!({"cniVersion": "1.0.0", "name": "net", "type": "one", "key": "one"}));
    assert_eq!(
        scene.stdin("two.ADD")["prevResult"],
        json!({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]})
    );
    let recorded = scene.runtime.cache().read(&attached.attachment()).unwrap().unwrap();
    assert_eq!(recorded, attached);
    assert_eq!(recorded.configured().unwrap().unwrap(), network);
}

#[test]
fn plugins_get_the_arguments_and_capabilities_that_are_theirs() {
    let scene = Scene::new();
    let network = scene.network("1.1.0", ["one", "two"]);
    let endpoint = endpoint()
        .with_arg("IgnoreUnknown", "1")
        .with_arg("K", "v")
        .with_capability_arg("two", json!([1]))
        .with_capability_arg("other", json!(true));
    scene.runtime.add(&network, &endpoint).unwrap();
    assert_eq!(scene.stdin("one.ADD").get("runtimeConfig"), None);
    assert_eq!(scene.stdin("two.ADD")["runtimeConfig"], json!({"two": [1]}));
    let path = format!("CNI_PATH={}", scene.folder.path().display());
    let expected = [
        "CNI_ARGS=IgnoreUnknown=1;K=v",
        "CNI_COMMAND=ADD",
        "CNI_CONTAINERID=c1",
        "CNI_IFNAME=eth0",
        "CNI_NETNS=/run/netns/c1",
        path.as_str(),
    ];
    assert_eq!(scene.environment("two.ADD"), expected);
}

#[test]
fn a_result_without_a_version_has_the_networks() {
    let scene = Scene::new();
    let attached = scene.runtime.add(&scene.network("0.4.0", ["one"]), &endpoint()).unwrap();
    assert_eq!(attached.result, json!({"cniVersion": "0.4.0"}));
}

#[test]
fn a_result_of_another_version_is_translated_for_the_next_plugin() {
    let scene = Scene::new();
    let network = scene.network("0.4.0", ["one", "two"]);
    scene.answer("one.ADD", FIRST);
    scene.runtime.add(&network, &endpoint()).unwrap();
    let previous = &scene.stdin("two.ADD")["prevResult"];
    assert_eq!((&previous["cniVersion"], &previous["ips"][0]["version"]), (&json!("0.4.0"), &json!("4")));
}

#[test]
fn a_failed_add_is_taken_back_in_reverse() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two", "three"]);
    scene.answer("one.ADD", FIRST);
    scene.answer("two.ADD", &failing("no"));
    let error = scene.runtime.add(&network, &endpoint()).unwrap_err();
    assert_eq!(scene.calls(), ["one.ADD", "two.ADD", "two.DEL", "one.DEL"]);
    assert_eq!(scene.stdin("two.DEL")["prevResult"]["ips"][0]["address"], "10.1.0.2/24");
    assert_eq!(u32::from(error.code()), 123);
    let Error::NotAdded { attachment, source, left } = error else { panic!("{error}") };
    assert!(matches!(*source, Error::Plugin(PluginError::Failed { .. })), "{source}");
    assert!(left.is_empty(), "{left:?}");
    assert!(scene.runtime.cache().read(&attachment).unwrap().is_none());
}

#[test]
fn what_cannot_be_taken_back_is_told_and_the_rest_taken_back() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two", "three"]);
    scene.answer("three.ADD", &failing("no"));
    scene.answer("two.DEL", &failing("stuck"));
    let error = scene.runtime.add(&network, &endpoint()).unwrap_err();
    assert_eq!(scene.calls(), ["one.ADD", "two.ADD", "three.ADD", "three.DEL", "two.DEL", "one.DEL"]);
    let told = error.to_string();
    assert!(told.contains("not all could be taken back: plugin two: DEL failed: stuck"), "{told}");
    let Error::NotAdded { left, .. } = error else { panic!("{error}") };
    assert_eq!(left.len(), 1);
}

#[test]
fn a_record_that_cannot_be_written_takes_the_add_back() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("cache/results/.net-c1-eth0")).unwrap();
    let error = scene.runtime.add(&scene.network("1.0.0", ["one", "two"]), &endpoint()).unwrap_err();
    assert_eq!(scene.calls(), ["one.ADD", "two.ADD", "two.DEL", "one.DEL"]);
    assert!(matches!(&error, Error::NotAdded { source, .. } if matches!(**source, Error::Cache(_))), "{error}");
}

#[test]
fn what_cannot_succeed_changes_nothing() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    let without_netns = Endpoint::new("c1", "eth0").unwrap();
    let error = scene.runtime.add(&network, &without_netns).unwrap_err();
    assert!(matches!(error, Error::NoNetns { .. }), "{error}");
    for (key, value) in [("A;B", "1"), ("A=B", "1"), ("", "1"), ("A", "1;B=2")] {
        let error = scene.runtime.add(&network, &endpoint().with_arg(key, value)).unwrap_err();
        assert!(matches!(error, Error::Arg { .. }), "{error}");
    }
    std::fs::remove_file(scene.path("two")).unwrap();
    let error = plugin_error(scene.runtime.add(&network, &endpoint()).unwrap_err());
    assert!(error.to_string().starts_with("plugin two is not in "), "{error}");
    assert!(scene.calls().is_empty());
}

/// `net-x` with `c1`, and `net` with `x-c1`.
#[test]
fn another_attachments_record_is_not_overwritten() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    let mut other = network.json();
    other["name"] = json!("net-x");
    let other = cni_runtime::Network::from_json(other).unwrap();
    scene.runtime.add(&other, &endpoint()).unwrap();
    let same_file = Endpoint::new("x-c1", "eth0").unwrap().in_netns("/run/netns/x");
    scene.calls();
    let error = scene.runtime.add(&network, &same_file).unwrap_err();
    assert!(matches!(error, Error::Cache(CacheError::Taken { .. })), "{error}");
    assert!(scene.calls().is_empty());
    scene.runtime.del(&network, &same_file).unwrap();
    let kept = scene.runtime.cache().list().unwrap().attached;
    assert_eq!(kept.iter().map(|kept| kept.network.as_str()).collect::<Vec<_>>(), ["net-x"]);
}

#[test]
fn many_containers_are_attached_at_once() {
    fn shared<T: Send + Sync>(it: &T) -> &T {
        it
    }
    let scene = Scene::new();
    let (runtime, network) = (shared(&scene.runtime), scene.network("1.0.0", ["one", "two"]));
    std::thread::scope(|scope| {
        for i in 0..20 {
            let endpoint = Endpoint::new(&format!("c{i}"), "eth0").unwrap().in_netns("/run/netns/x");
            let network = &network;
            scope.spawn(move || runtime.add(network, &endpoint).unwrap());
        }
    });
    assert_eq!(runtime.cache().of_network(network.name()).unwrap().attached.len(), 20);
}
