//! `prevResult`, and who has to repeat it.

use serde_json::{Value, json};
use tests::{Inside as _, Outcome, is_reference, newest_version, reference_differs, wire};

use crate::scene::{PLUGINS, Scene, error_with, versions, versions_of};

const CHAINED: [&str; 3] = ["firewall", "portmap", "tuning"];

fn config_at(scene: &Scene, plugin: &str, version: &str) -> Value {
    let mut config = scene.config(plugin);
    config["cniVersion"] = json!(version);
    config
}

/// "If a plugin makes no changes that would be reflected in the _Success result_ type, then it must output a result
/// equivalent to the provided `prevResult`" (Success).
#[test]
fn chained_plugins_repeat_what_they_were_given_in_every_version() {
    for version in versions() {
        let scene = Scene::at(version);
        for plugin in CHAINED.iter().filter(|plugin| versions_of(plugin).any(|spoken| spoken == version)) {
            let config = config_at(&scene, plugin, version);
            let reply = scene.call_with(plugin, "ADD", &config).run().ok();
            assert_eq!(reply, scene.result, "{plugin} {version}");
            scene.call_with(plugin, "DEL", &config).run().ok();
        }
    }
}

/// The same, with everything that a result of 1.1.0 can say.
#[test]
fn nothing_of_a_full_result_is_lost_on_the_way() {
    let scene = Scene::new();
    let result = json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01", "mtu": 1450},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1450, "sandbox": "/run/netns/fresh"},
            {"name": "vhost", "socketPath": "/run/vhost.sock", "pciID": "0000:00:1f.6", "sandbox": "vm-1"},
        ],
        "ips": [
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
            {"address": "fd00:1::2/64", "interface": 1},
            {"address": "192.0.2.5/32"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400, "advmss": 1360, "priority": 5, "table": 100, "scope": 0},
            {"dst": "fd00:2::/64", "scope": 253},
        ],
        "dns": {"nameservers": ["10.1.0.1"], "domain": "a.test", "search": ["a.test"], "options": ["ndots:2"]},
    });
    for plugin in ["loopback", "none", "host", "portmap", "firewall", "tuning"] {
        let mut config = scene.config(plugin);
        config["prevResult"] = result.clone();
        assert_eq!(scene.call_with(plugin, "ADD", &config).run().ok(), result, "{plugin}");
        scene.call_with(plugin, "DEL", &config).run().ok();
    }
}

/// "`cniVersion`: The same version supplied on input" (Success): the result before may be of another version.
#[test]
fn a_result_of_another_version_is_translated() {
    let scene = Scene::at("0.3.1");
    assert_eq!(scene.result["ips"][0]["version"], "4");
    for plugin in CHAINED {
        let reply = scene.call(plugin, "ADD").run().ok();
        assert_eq!(reply["cniVersion"], newest_version(), "{plugin}");
        assert_eq!(reply["ips"][0].get("version"), None, "{plugin}: {reply}");
        assert_eq!(reply["ips"][0]["address"], scene.result["ips"][0]["address"], "{plugin}: {reply}");
        assert_eq!(reply["interfaces"], scene.result["interfaces"], "{plugin}: {reply}");
        scene.call(plugin, "DEL").run().ok();
    }
}

/// Chained plugins "adjust the configuration of an already-created interface" (Overview): without one there is
/// nothing to do.
#[test]
fn chained_plugins_need_a_previous_result() {
    let scene = Scene::new();
    for plugin in CHAINED {
        let mut config = scene.config(plugin);
        config.as_object_mut().unwrap().remove("prevResult");
        let error = error_with(7, scene.call_with(plugin, "ADD", &config).run());
        let all = format!("{} {}", error.msg, error.details);
        assert!(is_reference() || (all.contains("prevResult") && all.contains("chain")), "{plugin}: {error:?}");
    }
}

/// "Plugins should generally complete a `DEL` action without error even if some resources are missing" (DEL): also if what
/// is missing is sense in the result.
#[test]
fn del_needs_no_readable_result() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        for result in [json!("garbage"), json!({"cniVersion": "7.0.0"}), json!({"ips": [{"address": "10.1.0.2"}]})] {
            scene.call(plugin, "ADD").run().ok();
            with_result(&scene, plugin, "DEL", &result).ok();
            scene.host.snapshot().assert_nothing_since(&before);
        }
    }
}

fn with_result(scene: &Scene, plugin: &str, verb: &str, result: &Value) -> Outcome {
    let mut config = scene.config(plugin);
    config["prevResult"] = result.clone();
    scene.call_with(plugin, verb, &config).run()
}

/// A result that names no interface for an address, as an IPAM plugin's, is about the interface in question.
#[test]
fn addresses_without_an_interface_are_the_containers() {
    let scene = Scene::new();
    let ips = json!([{"address": scene.result["ips"][0]["address"]}]);
    let result = json!({"cniVersion": newest_version(), "ips": ips});
    for plugin in CHAINED {
        assert_eq!(with_result(&scene, plugin, "ADD", &result).ok()["ips"], ips, "{plugin}");
        with_result(&scene, plugin, "DEL", &result).ok();
    }
}

/// The same for an index that is out of range, or refers to the host's end of the interface, as with some other suites'
/// interface plugins: the container is routed, let through the firewall, and published.
#[test]
fn addresses_that_lead_elsewhere_are_the_containers() {
    const HOST_END: i64 = 1;
    for index in [-1, 99, HOST_END] {
        eprintln!("{index}");
        let (host, outside) = wire();
        outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1");
        host.shell("iptables-nft -P FORWARD DROP");
        let web = host.container("web");
        let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24"});
        let config = json!({"type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipam": ipam});
        let mut result = host.cni("bridge").command("ADD").container(&web).config(&config).run().ok();
        result["ips"][0]["interface"] = json!(index);
        let call = |plugin: &str, verb: &str| {
            let config = json!({
                "type": plugin, "prevResult": result,
                "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]},
            });
            host.cni(plugin).command(verb).container(&web).config(&config).run().ok()
        };
        let (_server, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
        let before = host.snapshot();
        call("firewall", "ADD");
        web.assert_reaches_tcp("192.0.2.2:80");
        if index == HOST_END && reference_differs("its portmap publishes nothing, and its sbr finds no address") {
            continue;
        }
        call("portmap", "ADD");
        host.assert_reaches_tcp("192.0.2.1:8080");
        call("sbr", "ADD");
        assert!(web.run(["ip", "rule"]).contains("from 10.1.0.2 lookup 100"), "{}", web.run(["ip", "rule"]));
        for plugin in ["sbr", "portmap", "firewall"] {
            if !reference_differs("its portmap's CHECK fails, and its chains stay") {
                call(plugin, "CHECK");
            }
            call(plugin, "DEL");
        }
        if !is_reference() {
            host.snapshot().assert_nothing_since(&before);
        }
    }
}

/// The same for an empty version, as for an absent one: the configuration's is meant.
#[test]
fn a_result_of_empty_version_has_its_addresses() {
    let scene = Scene::new();
    for version in [json!(""), json!(null)] {
        let mut result = scene.result.clone();
        result["cniVersion"] = version.clone();
        for plugin in CHAINED {
            assert_eq!(with_result(&scene, plugin, "ADD", &result).ok(), scene.result, "{plugin}, {version}");
            with_result(&scene, plugin, "DEL", &result).ok();
        }
    }
}
