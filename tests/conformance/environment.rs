//! Parameters: "Protocol parameters are passed to the plugins via OS environment variables" (Parameters).

use serde_json::json;
use tests::{Host, Inside as _, is_reference, reference_differs};

use crate::scene::{INSIDE_ONLY, Scene, bridge_config, error, error_with, every_plugin, versions_of};

const ADD: [&str; 4] = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"];
const DEL: [&str; 3] = ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"];

fn required(verb: &str) -> &'static [&'static str] {
    match verb {
        "ADD" | "CHECK" => &ADD,
        "DEL" => &DEL,
        _ => &["CNI_PATH"],
    }
}

fn verbs() -> &'static [&'static str] {
    if is_reference() { &["ADD", "CHECK", "DEL"] } else { &["ADD", "CHECK", "DEL", "GC", "STATUS"] }
}

/// "`4`: Invalid necessary environment variables, like CNI_COMMAND, CNI_CONTAINERID, etc. The error message must
/// contain the names of invalid variables" (Error).
#[test]
fn all_missing_variables_are_named_in_one_message() {
    let host = Host::new();
    for plugin in every_plugin() {
        for verb in verbs() {
            let config = json!({"type": plugin});
            let error = error(host.cni(plugin).command(verb).without("CNI_PATH").config(&config).run());
            assert_eq!(error.code, 4, "{plugin} {verb}: {error:?}");
            for name in required(verb) {
                assert!(error.msg.contains(name), "{plugin} {verb}, {name}: {error:?}");
            }
        }
    }
}

/// The same sentence, for each variable alone; and an empty variable is a missing one: "Must not be empty".
#[test]
fn each_missing_variable_is_named_and_no_other() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for verb in ["ADD", "DEL"] {
            for name in required(verb) {
                let call = scene.call(plugin, verb);
                for outcome in [call.clone().without(name).run(), call.env(name, "").run()] {
                    let error = error(outcome);
                    assert_eq!(error.code, 4, "{plugin} {verb}: {error:?}");
                    assert!(error.msg.contains(name), "{plugin} {verb}, {name}: {error:?}");
                    let others = ADD.iter().filter(|other| *other != name);
                    assert_eq!(others.filter(|other| error.msg.contains(*other)).count(), 0, "{error:?}");
                }
            }
        }
    }
}

/// "`CNI_COMMAND`: indicates the desired operation; `ADD`, `DEL`, `CHECK`, `GC`, `STATUS` or `VERSION`" (Parameters).
#[test]
fn an_unknown_operation_is_refused() {
    let scene = Scene::new();
    for plugin in every_plugin() {
        for verb in ["add", "UPDATE", "ADD "] {
            let error = error(scene.call(plugin, verb).run());
            assert_eq!(error.code, 4, "{plugin}: {error:?}");
            assert!(error.msg.contains("CNI_COMMAND") && error.msg.contains(verb), "{plugin}: {error:?}");
        }
    }
}

/// As the reference does it: somebody who starts a plugin by hand is told what it is. nerdctl reads the first line, with nothing in
/// the environment, and isolates networks from firewall 1.7.1 on.
#[test]
fn without_an_operation_a_plugin_says_what_it_is() {
    let host = Host::new();
    for plugin in every_plugin() {
        let finished = host.cni(plugin).without("CNI_PATH").run().finished;
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        assert_eq!(finished.stdout, "", "{finished}");
        let lines: Vec<_> = finished.stderr.lines().collect();
        let last = format!("CNI protocol versions supported: {}", versions_of(plugin).collect::<Vec<_>>().join(", "));
        assert_eq!(lines.last(), Some(&last.as_str()), "{finished}");
        if reference_differs("Debian's is built without its version") {
            continue;
        }
        assert_eq!(lines[0], format!("CNI {plugin} plugin v1.9.1"), "{finished}");
        assert!(lines[1].starts_with("ferrocni 0.") && lines.len() == 3, "{finished}");
    }
}

/// "Must start with an alphanumeric character, optionally followed by any combination of one or more alphanumeric
/// characters, underscore, dot (.) or hyphen (-)" (Parameters, CNI_CONTAINERID).
#[test]
fn every_container_id_of_the_specification_is_taken() {
    let scene = Scene::new();
    for id in ["a", "0", "A.b_c-d", "9...", &"f".repeat(64)] {
        let config = scene.config("host-local");
        scene.call_with("host-local", "ADD", &config).container_id(id).run().ok();
        scene.call_with("host-local", "DEL", &config).container_id(id).run().ok();
    }
}

/// What a plugin makes says whose it is, and the kernel has room for so many characters only.
#[test]
fn names_that_are_too_long_together_are_refused_before_anything_is_made() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    let id = "c".repeat(240);
    for plugin in every_plugin() {
        let config = scene.config(plugin);
        let error = error_with(4, scene.call_with(plugin, "ADD", &config).container_id(&id).run());
        assert!(error.msg.contains("characters together"), "{plugin}: {error:?}");
    }
    scene.host.snapshot().assert_nothing_since(&before);
}

/// "`CNI_IFNAME`: Name of the interface to create inside the container; if the plugin is unable to use this interface
/// name it must return an error" (Parameters). The kernel would make eth0 of the last one.
#[test]
fn an_interface_name_that_cannot_be_is_an_error() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for name in ["eth0 ", "a:b", ".", "a\tb", "eth%d"] {
        let error = error_with(4, scene.call("bridge", "ADD").ifname(name).run());
        assert!(is_reference() || error.msg.contains("interface name"), "{error:?}");
    }
    if !reference_differs("it leaves the eth0 that the kernel made of eth%d") {
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// A runtime that passes its own namespace would have the host taken off the network.
#[test]
fn the_hosts_own_namespace_is_refused() {
    let scene = Scene::new();
    scene.host.shell("touch /run/netns/host; mount --bind /proc/self/ns/net /run/netns/host");
    let before = scene.host.snapshot();
    for plugin in every_plugin().filter(|plugin| *plugin != "host") {
        for verb in ["ADD", "DEL"] {
            for path in ["/proc/self/ns/net", "/run/netns/host"] {
                let error = error(scene.call(plugin, verb).netns(path).run());
                assert_eq!(error.code, 8, "{plugin} {verb}: {error:?}");
                assert!(error.msg.contains(path) && error.details.contains("CNI_NETNS_OVERRIDE"), "{error:?}");
            }
        }
    }
    scene.host.snapshot().assert_nothing_since(&before);
}

/// A runtime that may not enter the container's namespace hears that, whichever plugin has to go inside. (dhcp's daemon goes
/// there, with rights of its own.)
#[test]
fn a_namespace_that_may_not_be_entered_is_an_error() {
    let scene = Scene::new();
    let ipam = &bridge_config()["ipam"];
    let need_a_kernel_feature = [
        json!({"type": "dummy", "ipam": ipam}),
        json!({"type": "ipvlan", "master": "br0", "ipam": ipam}),
        json!({"type": "vlan", "master": "br0", "vlanId": 5, "ipam": ipam}),
        json!({"type": "vrf", "vrfname": "blue", "prevResult": scene.result}),
    ];
    let others = INSIDE_ONLY.into_iter().chain(["bandwidth", "bridge", "ptp"]).map(|plugin| scene.config(plugin));
    let before = scene.host.snapshot();
    for config in others.chain(need_a_kernel_feature) {
        let add = scene.call_with(config["type"].as_str().unwrap(), "ADD", &config);
        let error = error_with(4, add.run_under(&["setpriv", "--bounding-set", "-sys_admin"]));
        let says = format!("{} {}", error.msg, error.details).to_lowercase();
        for words in ["cannot enter network namespace", "operation not permitted"] {
            assert!(says.contains(words), "{}: {error:?}", config["type"]);
        }
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// The exception: who means it says so.
#[test]
fn the_hosts_own_namespace_is_taken_if_that_is_meant() {
    let scene = Scene::new();
    let call = scene.call("loopback", "ADD").netns("/proc/self/ns/net").env("CNI_NETNS_OVERRIDE", "1");
    assert_eq!(call.run().ok()["interfaces"][0]["name"], "lo");
}
