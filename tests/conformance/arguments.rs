//! What a runtime passes for one container only.

use serde_json::{Value, json};
use tests::is_reference;

use crate::scene::{Scene, error_with};

/// host-local's reply to an ADD on 10.2.0.0/24 with these `CNI_ARGS`.
fn with_args(scene: &Scene, args: &str) -> tests::Outcome {
    let config = json!({"type": "host-local", "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}});
    scene.call_with("host-local", "ADD", &config).args(args).run()
}

fn first_address(reply: &Value) -> &str {
    reply["ips"][0]["address"].as_str().unwrap()
}

/// "Alphanumeric key-value pairs separated by semicolons; for example, "FOO=BAR;ABC=123"" (Parameters, CNI_ARGS);
/// "IP: Request a specific IP from IPAM plugins" (Conventions).
#[test]
fn an_address_is_asked_for_in_cni_args() {
    let scene = Scene::new();
    for (args, address) in
        [("IP=10.2.0.7", "10.2.0.7/24"), ("IgnoreUnknown=1;K8S_POD_NAME=a;IP=10.2.0.8", "10.2.0.8/24")]
    {
        assert_eq!(first_address(&with_args(&scene, args).ok()), address, "{args}");
    }
}

/// A key that no plugin reads counts as a spelling mistake, unless `IgnoreUnknown` says that it may be for other plugins.
#[test]
fn an_unknown_argument_needs_ignore_unknown() {
    let scene = Scene::new();
    for args in ["FOO=BAR", "ip=10.2.0.9", "IP=10.2.0.9;FOO=BAR", "FOO=BAR;IgnoreUnknown=0"] {
        let error = error_with(4, with_args(&scene, args));
        assert!(is_reference() || error.msg.contains("CNI_ARGS"), "{args}: {error:?}");
    }
    for args in ["FOO=BAR;IgnoreUnknown=1", "IgnoreUnknown=true;FOO=BAR"] {
        let reply = with_args(&scene, args).ok();
        scene.call_with("host-local", "DEL", &scene.config("host-local")).run().ok();
        assert!(first_address(&reply).starts_with("10.2.0."), "{args}: {reply}");
    }
}

#[test]
fn an_argument_is_a_pair() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for args in ["IP", "IP=10.2.0.9=10.2.0.10", "IgnoreUnknown=maybe"] {
        error_with(4, with_args(&scene, args));
    }
    error_with(7, with_args(&scene, "IP=ten"));
    scene.host.snapshot().assert_nothing_since(&before);
}

/// "ips: Request static IPs" (Conventions, `args` in network config) and the capability `ips` (Conventions, dynamic
/// plugin-specific fields).
#[test]
fn an_address_is_asked_for_in_the_configuration() {
    let scene = Scene::new();
    let fields = [("args", json!({"cni": {"ips": ["10.2.0.7"]}})), ("runtimeConfig", json!({"ips": ["10.2.0.8"]}))];
    for (i, (field, value)) in fields.into_iter().enumerate() {
        let mut config = json!({"type": "host-local", "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}});
        config[field] = value;
        let reply = scene.call_with("host-local", "ADD", &config).run().ok();
        assert_eq!(first_address(&reply), format!("10.2.0.{}/24", 7 + i), "{field}");
    }
}

/// "`args` should be used for _optional_ meta-data ... plugins that don't understand that data should just ignore it"
/// (Conventions).
#[test]
fn args_that_are_not_understood_are_ignored() {
    let scene = Scene::new();
    for plugin in crate::scene::PLUGINS {
        let mut config = scene.config(plugin);
        config["args"] = json!({"cni": {"labels": [{"key": "app", "value": "a"}]}, "org.example": {"x": 1}});
        scene.call_with(plugin, "ADD", &config).run().ok();
        scene.call_with(plugin, "DEL", &config).run().ok();
    }
}

/// The environment can be wrong on DEL as well, and what ADD made is freed all the same.
#[test]
fn del_does_not_read_cni_args() {
    let scene = Scene::new();
    scene.host.assert_leaves_nothing(|| {
        scene.call("bridge", "ADD").run().ok();
        scene.call("bridge", "DEL").args("FOO=BAR").run().ok();
    });
}
