//! The configuration on stdin, and how it is read.

use serde_json::{Value, json};
use tests::{Inside as _, newest_version};

use crate::scene::{PLUGINS, Scene, error, error_with, every_plugin};

/// "`name`: ... Must start with an alphanumeric character, optionally followed by any combination of one or more
/// alphanumeric characters, underscore, dot (.) or hyphen (-)" (Configuration format); "`7`: Invalid network config"
/// (Error).
#[test]
fn a_network_has_a_valid_name() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for name in [json!(null), json!(""), json!("-x"), json!(".."), json!("a b"), json!("a\n"), json!("ä")] {
            let mut config = scene.config(plugin);
            config["name"] = name.clone();
            for verb in ["ADD", "DEL"] {
                let error = error(scene.call_with(plugin, verb, &config).run());
                assert_eq!(error.code, 7, "{plugin} {verb} {name}: {error:?}");
                assert!(error.msg.contains("name"), "{plugin} {verb} {name}: {error:?}");
            }
        }
    }
}

/// "`6`: Failed to decode content" (Error).
#[test]
fn what_is_no_json_is_refused() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for stdin in ["{\"name\"", "{} {}", "name: test", "nul", "{'name': 'test'}"] {
            error_with(6, scene.call(plugin, "ADD").stdin(stdin).run());
        }
    }
}

fn reserve(scene: &Scene, stdin: &str) -> Value {
    let stdin = stdin.replace("VERSION", newest_version());
    scene.call("host-local", "ADD").stdin(stdin).run().ok()
}

/// Configurations were tested with Go, which matches keys without regard to case.
#[test]
fn keys_are_read_in_any_case() {
    let scene = Scene::new();
    let config = r#"{"CNIVersion": "VERSION", "Name": "test", "TYPE": "host-local",
                     "IPAM": {"Type": "host-local", "SubNet": "10.3.0.0/24", "RANGESTART": "10.3.0.9"}}"#;
    assert_eq!(reserve(&scene, config)["ips"][0]["address"], "10.3.0.9/24");
    scene.host.run(["ls", "/var/lib/cni/networks/test/10.3.0.9"]);
}

/// As in Go, null says no more than nothing at all.
#[test]
fn null_is_the_same_as_nothing() {
    let scene = Scene::new();
    let config = r#"{"cniVersion": "VERSION", "name": "test", "type": "host-local", "prevResult": null, "args": null,
                     "runtimeConfig": null, "dns": null, "ipam": {"type": "host-local", "subnet": "10.3.0.0/24",
                     "rangeStart": null, "routes": null, "ranges": null, "dataDir": null, "gateway": null}}"#;
    assert_eq!(reserve(&scene, config)["ips"][0]["address"], "10.3.0.2/24");
}

/// As in Go, the last one of several counts.
#[test]
fn the_last_of_several_equal_keys_counts() {
    let scene = Scene::new();
    let config = r#"{"cniVersion": "VERSION", "name": "wrong", "name": "test", "type": "host-local",
                     "ipam": {"type": "host-local", "subnet": "10.4.0.0/24", "subnet": "10.3.0.0/24"}}"#;
    assert_eq!(reserve(&scene, config)["ips"][0]["address"], "10.3.0.2/24");
    scene.host.run(["ls", "/var/lib/cni/networks/test/10.3.0.2"]);
}

/// "Plugins may define additional fields that they accept and may generate an error if called with unknown fields"
/// (Plugin configuration objects). Like the reference, ours do not: runtimes pass on fields that only they know.
#[test]
fn unknown_keys_are_ignored() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        let mut config = scene.config(plugin);
        config["cni.dev/something"] = json!({"deep": [1, 2, {"x": null}]});
        config["keyA"] = json!(["some more", "plugin specific", "configuration"]);
        config["disableCheck"] = json!(true);
        config["cniVersions"] = json!(["1.0.0", newest_version()]);
        scene.call_with(plugin, "ADD", &config).run().ok();
        scene.call_with(plugin, "DEL", &config).run().ok();
    }
}
