//! Input from somebody who makes a mistake, or means harm: an error that says what to do, and nothing is changed.

use serde_json::{Value, json};
use tests::{Cni, reference_differs};

use crate::scene::{INTERFACES, PLUGINS, Scene, error};

const INTERFACE_PLUGINS: [&str; 8] = ["bridge", "host", "host-device", "loopback", "macvlan", "none", "ptp", "tap"];
const WITH_RANGES: [&str; 6] = ["bridge", "host-device", "host-local", "macvlan", "ptp", "tap"];

/// What is wrong, and what has to come of it.
struct Case {
    name: &'static str,
    input: Input,
    code: u64,
    /// What the message or the details have to say.
    says: &'static str,
    /// Whom it concerns; for the others it is no input at all.
    plugins: &'static [&'static str],
    /// DEL has to work with what ADD would have refused, where it does not need it.
    verbs: &'static [&'static str],
}

/// What is spoilt in a call that would have succeeded.
enum Input {
    /// These bytes instead of the configuration.
    Stdin(Vec<u8>),
    /// Something in the configuration.
    Config(fn(&mut Value)),
    /// A variable of the environment.
    Variable(&'static str, &'static str),
}

fn case(name: &'static str, input: Input, code: u64, says: &'static str) -> Case {
    Case { name, input, code, says, plugins: &PLUGINS, verbs: &["ADD", "DEL"] }
}

fn stdin(name: &'static str, bytes: impl Into<Vec<u8>>, says: &'static str) -> Case {
    case(name, Input::Stdin(bytes.into()), 6, says)
}

impl Case {
    fn only(self, plugins: &'static [&'static str], verbs: &'static [&'static str]) -> Self {
        Self { plugins, verbs, ..self }
    }

    fn call<'s>(&self, scene: &'s Scene, plugin: &str, verb: &str) -> Cni<'s> {
        match &self.input {
            Input::Stdin(bytes) => scene.call(plugin, verb).stdin(bytes.clone()),
            Input::Variable(name, value) => scene.call(plugin, verb).env(name, value),
            Input::Config(spoil) => {
                let mut config = scene.config(plugin);
                spoil(&mut config);
                scene.call_with(plugin, verb, &config)
            }
        }
    }

    fn judge(&self, scene: &Scene, plugin: &str, verb: &str) {
        let about = format!("{} {verb}, {}", plugin, self.name);
        let outcome = self.call(scene, plugin, verb).run();
        if outcome.is_ok() && reference_differs("it does not look at everything") {
            scene.call(plugin, "DEL").run().ok();
            return;
        }
        assert!(!outcome.is_ok(), "{about} is accepted: {}", outcome.finished);
        let error = error(outcome);
        if !reference_differs("it has fewer codes and says less") {
            assert_eq!(error.code, self.code, "{about}: {error:?}");
            let all = format!("{} {}", error.msg, error.details);
            assert!(all.contains(self.says), "{about}, {:?} expected: {error:?}", self.says);
            assert!(all.len() < 1000, "{about}: an error of {} characters", all.len());
        }
    }
}

fn in_no_json() -> Vec<Case> {
    let json = "expected a JSON object";
    let deep = |depth| format!("{{\"x\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    let mut invalid_utf8 = br#"{"cniVersion": "1.0.0", "name": "test", "x": ""#.to_vec();
    invalid_utf8.extend([0xff, 0xfe, b'"', b'}']);
    vec![
        stdin("malformed JSON", r#"{"cniVersion": "1.0.0", "name": "test","#, json),
        stdin("nothing", "", json),
        stdin("white space", " \n", json),
        stdin("an array", r#"[{"cniVersion": "1.0.0", "name": "test"}]"#, json),
        stdin("a string", r#""bridge""#, json),
        stdin("null", "null", json),
        stdin("one object after another", r#"{"name": "test"} {"name": "test"}"#, json),
        stdin("1 MiB of garbage", garbage(1 << 20), json),
        stdin("1 MiB of zeros", vec![0; 1 << 20], json),
        stdin("1 MiB of brackets", vec![b'['; 1 << 20], json),
        stdin("JSON a thousand levels deep", deep(1000), json),
        stdin("invalid UTF-8", invalid_utf8, json),
    ]
}

/// Bytes without any order, the same each time (xorshift).
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn in_the_configuration() -> Vec<Case> {
    let identifier = "start with a letter or a digit";
    let config = |name, spoil, code, says| case(name, Input::Config(spoil), code, says);
    vec![
        config("a type that leaves CNI_PATH", |c| c["type"] = json!("../x"), 7, "CNI_PATH"),
        config("a network name with a slash", |c| c["name"] = json!("a/b"), 7, identifier),
        config("a network name that climbs", |c| c["name"] = json!("../../etc"), 7, identifier),
        config("a network name with a line break", |c| c["name"] = json!("a\nb"), 7, identifier),
        config("a previous result that is none", |c| c["prevResult"] = json!("garbage"), 6, "prevResult")
            .only(&PLUGINS, &["ADD"]),
        config("a previous result with a list for an object", |c| c["prevResult"] = json!([1]), 6, "prevResult")
            .only(&PLUGINS, &["ADD"]),
        config(
            "a previous result with an address that is none",
            |c| c["prevResult"] = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2"}]}),
            6,
            "ips[0].address",
        )
        .only(&PLUGINS, &["ADD"]),
        config(
            "a previous result of no known version",
            |c| c["prevResult"] = json!({"cniVersion": "7.0.0", "ips": []}),
            1,
            "7.0.0",
        )
        .only(&PLUGINS, &["ADD"]),
        config("an IPAM type that leaves CNI_PATH", |c| c["ipam"]["type"] = json!("../x"), 7, "CNI_PATH")
            .only(&INTERFACES, &["ADD", "DEL"]),
        config("an IPAM that is no object", |c| c["ipam"] = json!("host-local"), 7, "ipam")
            .only(&INTERFACES, &["ADD", "DEL"]),
        config("an IPAM that is no object, for itself", |c| c["ipam"] = json!("host-local"), 7, "ipam")
            .only(&["host-local", "static"], &["ADD"]),
        config(
            "a subnet with host bits set",
            |c| c["ipam"]["ranges"][0][0]["subnet"] = json!("10.1.0.5/24"),
            7,
            "10.1.0.0/24",
        )
        .only(&WITH_RANGES, &["ADD"]),
        config(
            "a subnet without room",
            |c| c["ipam"]["ranges"][0][0]["subnet"] = json!("10.1.0.4/31"),
            7,
            "10.1.0.4/31",
        )
        .only(&WITH_RANGES, &["ADD"]),
        config("a subnet that is none", |c| c["ipam"]["ranges"][0][0]["subnet"] = json!("10.1.0.0"), 7, "10.1.0.0")
            .only(&WITH_RANGES, &["ADD"]),
        config("a device that climbs", |c| c["runtimeConfig"] = json!({"deviceID": "../.."}), 7, "auxiliary bus")
            .only(&["host-device"], &["ADD"]),
        config("two devices", |c| c["pciBusID"] = json!("0000:00:1f.6"), 7, "pciBusID")
            .only(&["host-device"], &["ADD"]),
        config("a user's name", |c| c["owner"] = json!("root"), 7, "owner").only(&["tap"], &["ADD"]),
        config("a bridge with too long a name", |c| c["bridge"] = json!("a-bridge-of-1234"), 7, "1 to 15 characters")
            .only(&["bridge"], &["ADD"]),
        config(
            "a port that is none",
            |c| c["runtimeConfig"]["portMappings"][0]["hostPort"] = json!(70000),
            7,
            "hostPort",
        )
        .only(&["portmap"], &["ADD"]),
        config(
            "a protocol that is none",
            |c| c["runtimeConfig"]["portMappings"][0]["protocol"] = json!("tcp; drop"),
            7,
            "protocol",
        )
        .only(&["portmap"], &["ADD"]),
        config("a parent with too long a name", |c| c["master"] = json!("p".repeat(128)), 7, "1 to 127 characters")
            .only(&["macvlan"], &["ADD"]),
        config("a port in no VLAN", |c| c["vlan"] = json!(4095), 7, "4095").only(&["bridge"], &["ADD"]),
        config("a mode that is none", |c| c["mode"] = json!("brigde"), 7, "passthru").only(&["macvlan"], &["ADD"]),
        config("an ingress policy that is none", |c| c["ingressPolicy"] = json!("opne"), 7, "same-bridge")
            .only(&["firewall"], &["ADD"]),
        config("ports neither open nor closed", |c| c["unpublishedPorts"] = json!("shut"), 7, "closed")
            .only(&["firewall"], &["ADD"]),
    ]
}

fn in_the_environment() -> Vec<Case> {
    let identifier = "start with a letter or a digit";
    let interface = "1 to 15 characters";
    let variable = |name, variable, value, says| case(name, Input::Variable(variable, value), 4, says);
    vec![
        variable("a container id with a slash", "CNI_CONTAINERID", "a/b", identifier),
        variable("a container id that climbs", "CNI_CONTAINERID", "../x", identifier),
        variable("a container id with a line break", "CNI_CONTAINERID", "a\nb", identifier),
        variable("an empty container id", "CNI_CONTAINERID", "", "CNI_CONTAINERID"),
        variable("an interface name of 16 characters", "CNI_IFNAME", "interface-of-16c", interface),
        variable("an interface name with a slash", "CNI_IFNAME", "a/b", interface),
        variable("an interface name that is a folder", "CNI_IFNAME", "..", interface),
        variable("a namespace that is a regular file", "CNI_NETNS", "/run/file", "/run/file")
            .only(&INTERFACE_PLUGINS, &["ADD"]),
        variable("a namespace that is missing", "CNI_NETNS", "/run/netns/nowhere", "/run/netns/nowhere")
            .only(&INTERFACE_PLUGINS, &["ADD"]),
        variable("a namespace that is a folder", "CNI_NETNS", "/run/netns", "/run/netns")
            .only(&INTERFACE_PLUGINS, &["ADD"]),
        variable("a namespace of another kind", "CNI_NETNS", "/proc/self/ns/uts", "/proc/self/ns/uts")
            .only(&INTERFACE_PLUGINS, &["ADD"]),
        variable("a namespace that is a pipe nobody opens", "CNI_NETNS", "/run/pipe", "/run/pipe")
            .only(&INTERFACE_PLUGINS, &["ADD"]),
    ]
}

fn judge_all(cases: &[Case]) {
    let scene = Scene::new();
    scene.host.write("/run/file", "not a namespace");
    tests::Inside::shell(&scene.host, "mkfifo /run/pipe");
    let before = scene.host.snapshot();
    for case in cases {
        for plugin in case.plugins {
            for verb in case.verbs {
                case.judge(&scene, plugin, verb);
            }
        }
        // The reference makes its veth first and looks at the rest later.
        if !reference_differs("it leaves what it has made so far") {
            scene.host.snapshot().assert_nothing_since(&before);
        }
    }
}

/// "`6`: Failed to decode content" (Error).
#[test]
fn what_is_no_configuration_is_refused() {
    judge_all(&in_no_json());
}

/// "`7`: Invalid network config" (Error).
#[test]
fn a_configuration_that_cannot_be_right_is_refused() {
    judge_all(&in_the_configuration());
}

/// "`4`: Invalid necessary environment variables" (Error).
#[test]
fn an_environment_that_cannot_be_right_is_refused() {
    judge_all(&in_the_environment());
}

/// A configuration has a few kilobytes; 4 MiB is more than anybody needs, and little for a host.
#[test]
fn more_than_4_mib_is_refused() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        let mut config = scene.config(plugin);
        config["padding"] = json!("x".repeat(5 << 20));
        let error = error(scene.call_with(plugin, "ADD", &config).run());
        assert!(error.code == 6 && error.details.contains("4 MiB"), "{plugin}: {error:?}");
        config["padding"] = json!("x".repeat(3 << 20));
        scene.call_with(plugin, "ADD", &config).run().ok();
        scene.call_with(plugin, "DEL", &config).run().ok();
    }
    scene.host.snapshot().assert_nothing_since(&before);
}

/// The cases above fail because of what was spoilt: unspoilt, the same calls succeed.
#[test]
fn the_unspoilt_calls_succeed() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        scene.call(plugin, "ADD").run().ok();
        scene.call(plugin, "DEL").run().ok();
    }
    scene.host.snapshot().assert_nothing_since(&before);
}
