//! The form of an error.

use serde_json::{Value, json};
use tests::{Outcome, is_reference};

use crate::scene::{PLUGINS, Scene, error, every_plugin, versions_of};

fn fail(scene: &Scene, plugin: &str, version: &str) -> Outcome {
    let mut config = scene.config(plugin);
    config["cniVersion"] = json!(version);
    config["name"] = json!("not/valid");
    scene.call_with(plugin, "ADD", &config).run()
}

/// "A plugin must exit with a return code of 0 on success, and non-zero on failure. If the plugin encounters an error,
/// it should output an "error" result structure" (Errors). On stdout, and nothing else there.
#[test]
fn an_error_is_one_object_on_stdout_and_an_exit_status() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        error(fail(&scene, plugin, tests::newest_version()));
    }
}

/// "`cniVersion`: The same value as provided by the configuration" (Error).
#[test]
fn an_error_has_the_version_of_the_configuration() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for version in versions_of(plugin) {
            let reply = fail(&scene, plugin, version).json.unwrap();
            let expected = if is_reference() { &Value::Null } else { &json!(version) };
            assert_eq!(reply.get("cniVersion").unwrap_or(&Value::Null), expected, "{plugin}: {reply}");
        }
    }
}

/// "`code`: A numeric error code", "`msg`: A short message characterizing the error", "`details`: A longer message
/// describing the error" (Error). Ours have a form besides: no capital, no full stop, no line break.
#[test]
fn an_error_has_a_code_and_a_message() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        let reply = fail(&scene, plugin, tests::newest_version()).json.unwrap();
        assert_eq!(reply["code"], 7, "{plugin}: {reply}");
        let msg = reply["msg"].as_str().unwrap();
        let well_formed = !msg.starts_with(char::is_uppercase) && !msg.ends_with('.') && !msg.contains('\n');
        assert!(well_formed, "{plugin}: {msg}");
        assert!(is_reference() || msg.contains("not/valid"), "{plugin}: {msg}");
    }
}

/// "CHECK ... The plugin must return either nothing or an error", and the same holds for the others that have nothing
/// to tell: DEL, GC, STATUS.
#[test]
fn an_operation_without_result_prints_nothing() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        let added = scene.call(plugin, "ADD").run().ok();
        let mut config = scene.config(plugin);
        config["prevResult"] = added;
        config["cni.dev/valid-attachments"] = json!([{"containerID": "attached", "ifname": "eth0"}]);
        let verbs: &[&str] = if is_reference() { &["DEL"] } else { &["CHECK", "GC", "DEL", "STATUS"] };
        for verb in verbs {
            let outcome = scene.call_with(plugin, verb, &config).run();
            assert!(outcome.is_ok(), "{plugin} {verb}: {}", outcome.finished);
            assert_eq!(outcome.finished.stdout, "", "{plugin} {verb}");
        }
    }
}
