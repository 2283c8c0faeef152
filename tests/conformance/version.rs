//! VERSION, and which version a configuration may ask for.

use serde_json::json;
use tests::{Host, is_reference, newest_version, reference_differs};

use crate::scene::{Scene, error, every_plugin, versions_of};

/// "`supportedVersions`: A list of supported specification versions" (Version).
#[test]
fn each_plugin_lists_the_versions_it_speaks() {
    let host = Host::new();
    for plugin in every_plugin() {
        let reply = host.cni(plugin).command("VERSION").stdin(r#"{"cniVersion":"1.0.0"}"#).run().ok();
        let versions: Vec<_> = versions_of(plugin).collect();
        assert_eq!(reply, json!({"cniVersion": newest_version(), "supportedVersions": versions}), "{plugin}");
    }
}

/// "Required environment parameters: `CNI_COMMAND`" (VERSION): nothing else may be asked for. What is on stdin is
/// read and ignored, as by the reference; the specification wants its `cniVersion` back, libcni does not look at it.
#[test]
fn version_needs_nothing_and_ignores_stdin() {
    let host = Host::new();
    for plugin in every_plugin() {
        let call = host.cni(plugin).command("VERSION").without("CNI_PATH");
        let expected = call.run().ok();
        for stdin in ["{", "[]", "\0", r#"{"cniVersion":"9.9.9"}"#, r#"{"name":"../x"}"#] {
            assert_eq!(call.clone().stdin(stdin).run().ok(), expected, "{plugin}, {stdin}");
        }
        assert_eq!(call.stdin(vec![b' '; 6 << 20]).run().ok(), expected, "{plugin}");
    }
}

/// "`1`: Incompatible CNI version" (Error).
#[test]
fn a_version_that_the_plugin_does_not_speak_is_refused() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for version in ["9.9.9", "1.1", "v1.0.0", "1.0.0 ", "0.0.1"] {
            let mut config = scene.config(plugin);
            config["cniVersion"] = json!(version);
            for verb in ["ADD", "CHECK", "DEL"] {
                let error = error(scene.call_with(plugin, verb, &config).run());
                let undecodable = is_reference() && error.code != 1;
                assert!(error.code == 1 || undecodable, "{plugin} {verb} {version}: {error:?}");
                let all = format!("{} {}", error.msg, error.details);
                assert!(is_reference() || (all.contains(version) && all.contains("1.0.0, 1.1.0")), "{error:?}");
            }
        }
    }
}

/// The same: firewall came with 0.4.0, because its DEL needs what ADD reported.
#[test]
fn a_plugin_that_is_younger_than_the_version_refuses_it() {
    let scene = Scene::new();
    for version in ["0.1.0", "0.3.1"] {
        let mut config = scene.config("firewall");
        config["cniVersion"] = json!(version);
        assert_eq!(error(scene.call_with("firewall", "ADD", &config).run()).code, 1);
    }
}

/// CHECK came with 0.4.0, GC and STATUS with 1.1.0 (Released versions).
#[test]
fn an_operation_that_is_younger_than_the_configuration_is_refused() {
    let scene = Scene::new();
    let mut cases = vec![("CHECK", vec!["0.1.0", "0.2.0", "0.3.0", "0.3.1"])];
    if !reference_differs("it knows neither GC nor STATUS") {
        cases.push(("GC", vec!["0.3.1", "0.4.0", "1.0.0"]));
        cases.push(("STATUS", vec!["0.3.1", "0.4.0", "1.0.0"]));
    }
    for plugin in every_plugin() {
        for (verb, versions) in &cases {
            for version in versions {
                let mut config = scene.config(plugin);
                config["cniVersion"] = json!(version);
                config["cni.dev/valid-attachments"] = json!([]);
                let error = error(scene.call_with(plugin, verb, &config).run());
                assert_eq!(error.code, 1, "{plugin} {verb} {version}: {error:?}");
            }
        }
    }
}

/// The first version had no `cniVersion` to write.
#[test]
fn a_configuration_without_version_is_of_the_first() {
    let scene = Scene::new();
    let text = r#"{"name": "test", "type": "host-local", "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}"#;
    let result = scene.call("host-local", "ADD").stdin(text).run().ok();
    assert_eq!(result["ip4"]["ip"], "10.2.0.2/24", "{result}");
}
