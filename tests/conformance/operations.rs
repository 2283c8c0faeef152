//! What ADD, DEL, CHECK, GC and STATUS may rely on and have to do.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{Chain, Container, Host, Inside as _, address, at_once, is_reference, newest_version, reference_differs};

use crate::scene::{INSIDE_ONLY, INTERFACES, PLUGINS, Scene, bridge_config, error};

/// bridge, portmap and firewall.
fn network<'h>(host: &'h Host, name: &str, third_byte: u8) -> Chain<'h> {
    let mut bridge = bridge_config();
    bridge["bridge"] = json!(format!("br-{name}"));
    bridge["ipam"] = json!({"type": "host-local", "subnet": format!("10.1.{third_byte}.0/24")});
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let list = json!({"name": name, "plugins": [bridge, portmap, {"type": "firewall"}]});
    let ports = json!([{"hostPort": 8000 + u16::from(third_byte), "containerPort": 80, "protocol": "tcp"}]);
    host.chain(&list).capabilities(&json!({"portMappings": ports}))
}

/// "If an interface of the requested name already exists in the container, the CNI plugin MUST return with an error"
/// (ADD). It is somebody else's and stays as it is.
#[test]
fn add_refuses_an_interface_that_exists() {
    for plugin in INTERFACES {
        let scene = Scene::new();
        scene.fresh.shell("ip link add eth0 up mtu 1234 type veth peer name other");
        let before = scene.host.snapshot();
        let error = error(scene.call(plugin, "ADD").run());
        assert!(is_reference() || error.msg.contains("eth0"), "{plugin}: {error:?}");
        if !reference_differs("it leaves the host's end of the veth, or the address") {
            scene.host.snapshot().assert_nothing_since(&before);
        }
        let link = scene.fresh.link("eth0");
        assert_eq!((&link["mtu"], &link["link"]), (&json!(1234), &json!("other")), "{plugin}");
    }
}

/// "A runtime should not call `ADD` twice (without an intervening DEL) for the same `(CNI_CONTAINERID, CNI_IFNAME)`
/// tuple" (ADD): the second one fails and does not hurt the first.
#[test]
fn a_second_add_fails_and_leaves_the_first_as_it_is() {
    let scene = Scene::new();
    for plugin in INTERFACES.into_iter().chain(["host-local"]) {
        scene.call(plugin, "ADD").run().ok();
        let before = scene.host.snapshot();
        let error = error(scene.call(plugin, "ADD").run());
        assert!(!error.msg.is_empty(), "{plugin}");
        scene.host.snapshot().assert_nothing_since(&before);
        scene.call(plugin, "DEL").run().ok();
    }
}

/// "a given container ID may be added to a specific network more than once only if each addition is done with a
/// different interface name" (ADD).
#[test]
fn a_container_can_be_added_twice_under_two_names() {
    // A device is in one place only.
    for plugin in INTERFACES.into_iter().filter(|plugin| *plugin != "host-device") {
        let scene = Scene::new();
        scene.host.assert_leaves_nothing(|| {
            let replies = ["eth1", "eth2"].map(|name| scene.call(plugin, "ADD").ifname(name).run().ok());
            assert_ne!(replies[0]["ips"], replies[1]["ips"], "{plugin}");
            scene.call(plugin, "DEL").ifname("eth1").run().ok();
            let mut config = scene.config(plugin);
            config["prevResult"] = replies[1].clone();
            scene.call_with(plugin, "CHECK", &config).ifname("eth2").run().ok();
            scene.call(plugin, "DEL").ifname("eth2").run().ok();
        });
    }
}

/// "Plugins must handle being executed concurrently across different containers. If necessary, they must implement
/// locking on shared resources (e.g. IPAM databases)" (Lifecycle & Ordering).
#[test]
fn many_containers_are_added_and_deleted_at_once() {
    let host = Host::new();
    let containers: Vec<Container> = (0..24).map(|i| host.container(&format!("c{i}"))).collect();
    let list = json!({"name": "n", "plugins": [bridge_config(), {"type": "firewall"}]});
    let network = host.chain(&list);
    host.assert_leaves_nothing(|| {
        let replies = at_once(&containers, |container| network.add(container, "eth0").ok());
        for family in 0..2 {
            let addresses: BTreeSet<_> = replies.iter().map(|reply| address(reply, family)).collect();
            assert_eq!(addresses.len(), containers.len());
        }
        at_once(&containers, |container| network.del(container, "eth0").ok());
    });
}

/// "Plugins MUST accept multiple `DEL` calls for the same (`CNI_CONTAINERID`, `CNI_IFNAME`) pair, and return success
/// if the interface in question, or any modifications added, are missing" (DEL).
#[test]
fn del_succeeds_once_and_again() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        let before = scene.host.snapshot();
        scene.call(plugin, "ADD").run().ok();
        for _ in 0..3 {
            scene.call(plugin, "DEL").run().ok();
        }
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// "A _delete_ must still be executed even if the _add_ fails" (Lifecycle & Ordering), or has never come.
#[test]
fn del_succeeds_where_nothing_was_added() {
    let scene = Scene::new();
    scene.host.assert_leaves_nothing(|| {
        for plugin in PLUGINS {
            scene.call(plugin, "DEL").run().ok();
            scene.call(plugin, "DEL").container_id("never-seen").run().ok();
            let mut config = scene.config(plugin);
            config["name"] = json!("never-seen");
            scene.call_with(plugin, "DEL", &config).run().ok();
        }
    });
}

/// "clean up its own resources even if the container network namespace and/or container network interface no longer
/// exist" (DEL); `CNI_NETNS` is among DEL's "Optional environment parameters".
#[test]
fn del_succeeds_without_a_namespace() {
    for gone in ["", "/run/netns/gone", "/proc/4194304/ns/net"] {
        let scene = Scene::new();
        for plugin in PLUGINS.into_iter().filter(|plugin| !INSIDE_ONLY.contains(plugin)) {
            let before = scene.host.snapshot();
            scene.call(plugin, "ADD").run().ok();
            let call = scene.call(plugin, "DEL");
            let call = if gone.is_empty() { call.without("CNI_NETNS") } else { call.netns(gone) };
            call.run().ok();
            if !(INTERFACES.contains(&plugin) && reference_differs("it leaves the veth to the end of the namespace")) {
                scene.host.snapshot().assert_nothing_since(&before);
            }
        }
        for plugin in INSIDE_ONLY {
            scene.call(plugin, "DEL").netns(gone).run().ok();
        }
    }
}

/// "undo any modifications applied in the plugin's `ADD` functionality" (DEL): a runtime that has lost everything it
/// knew, as in a crash, has neither the result nor the namespace.
#[test]
fn del_needs_neither_result_nor_namespace() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        let before = scene.host.snapshot();
        scene.call(plugin, "ADD").run().ok();
        scene.blind_del(plugin).ok();
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// "return success if the interface in question, or any modifications added, are missing" (DEL): somebody else has
/// deleted or renamed the interface, or the bridge, or all rules.
#[test]
fn del_succeeds_when_somebody_else_was_faster() {
    let damages = [
        "ip netns exec fresh ip link del eth0",
        "ip netns exec fresh sh -c 'ip link set eth0 down; ip link set eth0 name other'",
        "ip netns exec fresh ip addr flush dev eth0",
        "nft flush ruleset",
        "nft delete table inet ferrocni",
        "rm -r /var/lib/cni/networks/fresh",
        "ip link del br-fresh",
    ];
    for damage in damages {
        let host = Host::new();
        let (fresh, network) = (host.container("fresh"), network(&host, "fresh", 3));
        host.assert_leaves_nothing(|| {
            network.add(&fresh, "eth0").ok();
            host.shell(damage);
            network.del(&fresh, "eth0").ok();
        });
    }
}

/// A DEL that cannot do everything does what it can, says what it could not, and does the rest the next time.
#[test]
fn del_goes_on_past_a_failure() {
    for plugin in INTERFACES {
        let scene = Scene::new();
        let before = scene.host.snapshot();
        scene.call(plugin, "ADD").run().ok();
        let failed = error(scene.call(plugin, "DEL").path("/run/nowhere").run());
        assert!(failed.msg.contains("host-local"), "{plugin}: {failed:?}");
        let left = scene.host.snapshot().leftovers(&before);
        assert!(left.iter().all(|line| line.contains("/var/lib/cni/networks")), "{plugin}: {left:#?}");
        scene.call(plugin, "DEL").run().ok();
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// "The plugin should return an error if a resource included in the CNI Result type (interface, address or route) was
/// created by the plugin, and is listed in `prevResult`, but is missing or in an invalid state" (CHECK), and it says
/// what it misses.
#[test]
fn check_names_what_is_missing() {
    let cases = [
        ("bandwidth", "ip link del $(ip -br link show type ifb | cut -d' ' -f1)", "redirection"),
        ("bandwidth", "ip netns exec attached ip link del eth0", "eth0"),
        ("bridge", "ip netns exec fresh ip link del eth0", "eth0"),
        ("bridge", "ip netns exec fresh ip addr del 10.1.0.3/24 dev eth0", "10.1.0.3"),
        ("bridge", "ip link set br0 down; ip link del br0", "br0"),
        ("ptp", "ip netns exec fresh ip link del eth0", "eth0"),
        ("ptp", "ip netns exec fresh ip addr del 10.7.0.2/24 dev eth0", "10.7.0.2"),
        ("host-local", "rm /var/lib/cni/networks/test/10.1.0.3", "10.1.0.3"),
        ("loopback", "ip netns exec fresh ip link set lo down", "lo"),
        ("macvlan", "ip netns exec fresh ip link del eth0", "eth0"),
        ("macvlan", "ip netns exec fresh ip addr del 10.1.0.3/24 dev eth0", "10.1.0.3"),
        ("macvlan", "ip link set br0 down; ip link del br0", "eth0"),
        ("none", "ip netns exec fresh ip link set lo down", "lo"),
        ("tuning", "ip netns exec attached ip link set eth0 promisc off", "promiscuous"),
        ("tuning", "ip netns exec attached sh -c 'echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_ignore'", "arp_ignore"),
        ("none", "ip netns exec fresh ip link add eth0 type veth peer name eth1", "eth1"),
    ];
    for (plugin, damage, missing) in cases {
        let scene = Scene::new();
        let mut config = scene.config(plugin);
        config["prevResult"] = scene.call(plugin, "ADD").run().ok();
        let check = scene.call_with(plugin, "CHECK", &config);
        check.run().ok();
        scene.host.shell(damage);
        if plugin == "host-local" && reference_differs("one address of two is enough for it") {
            continue;
        }
        let error = error(check.run());
        let all = format!("{} {}", error.msg, error.details);
        assert!(is_reference() || all.contains(missing), "{plugin}, {damage}: {error:?}");
    }
}

/// "if other resources not tracked in the Result type such as the following are missing or are in an invalid state:
/// Firewall rules" (CHECK).
#[test]
fn check_misses_its_rules() {
    for plugin in ["dnsname", "portmap", "firewall"] {
        let scene = Scene::new();
        scene.call(plugin, "ADD").run().ok();
        scene.call(plugin, "CHECK").run().ok();
        scene.host.run(["nft", "flush", "ruleset"]);
        scene.attached.run(["nft", "flush", "ruleset"]);
        error(scene.call(plugin, "CHECK").run());
    }
}

/// CHECK needs "a `prevResult` field in the network configuration containing the `Result` of the immediately preceding
/// `ADD`" (CHECK).
#[test]
fn check_needs_the_result() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        scene.call(plugin, "ADD").run().ok();
        let mut config = scene.config(plugin);
        config.as_object_mut().unwrap().remove("prevResult");
        let outcome = scene.call_with(plugin, "CHECK", &config).run();
        scene.call(plugin, "DEL").run().ok();
        if reference_differs("host-local and portmap do without") {
            continue;
        }
        let error = error(outcome);
        assert!(error.code == 7 && error.msg.contains("prevResult"), "{plugin}: {error:?}");
    }
}

/// "The network plugin may then remove any resources related to attachments that do not exist in this set" (GC): with
/// a container that was lost without DEL, and nothing else.
#[test]
fn gc_removes_what_was_left_and_nothing_else() {
    let host = Host::new();
    let (one, other) = (network(&host, "one", 1), network(&host, "other", 2));
    let (stays, elsewhere) = (host.container("stays"), host.container("elsewhere"));
    let reply = one.add(&stays, "eth0").ok();
    other.add(&elsewhere, "eth0").ok();
    // The same port cannot be published twice: GC has to free it.
    let ports = json!({"portMappings": [{"hostPort": 9000, "containerPort": 80, "protocol": "tcp"}]});
    let one_again = network(&host, "one", 1).capabilities(&ports);
    let before = host.snapshot();

    let lost = host.container("lost");
    one_again.add(&lost, "eth0").ok();
    let _ = host.lose(lost);
    one_again.gc(&[("stays", "eth0")]).ok();

    host.snapshot().assert_nothing_since(&before);
    let _server = stays.listen_tcp(80);
    host.assert_reaches_tcp(&format!("{}:80", address(&reply, 0)));
    host.assert_reaches_tcp("127.0.0.1:8001");
    one.check(&stays, "eth0").ok();
    other.check(&elsewhere, "eth0").ok();
}

/// An attachment is a container and an interface: "uniquely identified by the `(CNI_CONTAINERID, CNI_IFNAME)` tuple"
/// (Section 3).
#[test]
fn gc_tells_the_interfaces_of_a_container_apart() {
    let host = Host::new();
    let network = host.chain(&json!({"name": "n", "plugins": [bridge_config(), {"type": "firewall"}]}));
    let container = host.container("c1");
    network.add(&container, "eth0").ok();
    let before = host.snapshot();
    network.add(&container, "eth1").ok();
    network.gc(&[("c1", "eth0"), ("unknown", "eth1")]).ok();
    host.snapshot().assert_nothing_since(&before);
}

/// "`cni.dev/valid-attachments` (array of objects): The list of **still valid** attachments to this network" (GC).
/// An empty list means that none is.
#[test]
fn gc_with_an_empty_list_removes_everything_of_its_network() {
    let host = Host::new();
    let other = network(&host, "other", 2);
    other.add(&host.container("elsewhere"), "eth0").ok();
    let one = network(&host, "one", 1);
    let container = host.container("c1");
    host.assert_leaves_nothing(|| {
        one.add(&container, "eth0").ok();
        one.gc(&[]).ok();
    });
    // Again, with nothing to remove.
    one.gc(&[]).ok();
}

/// libcni writes an empty list of Go's as `null`, and CRI-O gives it that for a network without pods.
#[test]
fn gc_takes_null_for_an_empty_list() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        let mut config = scene.config(plugin);
        config["name"] = json!("without-pods");
        let before = scene.host.snapshot();
        if plugin == "ptp" {
            // Of a pod that is gone.
            scene.call_with(plugin, "ADD", &config).run().ok();
        }
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            config[key] = json!(null);
        }
        scene.call_with(plugin, "GC", &config).run().ok();
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// Without the list, everything would be removed by mistake. `cnitool gc` sends none, after libcni has called DEL for all that
/// is in its cache.
#[test]
fn gc_without_a_list_removes_nothing() {
    let scene = Scene::new();
    for plugin in PLUGINS {
        scene.call(plugin, "ADD").run().ok();
        let before = scene.host.snapshot();
        scene.call(plugin, "GC").run().ok();
        scene.host.snapshot().assert_nothing_since(&before);
        scene.call(plugin, "DEL").run().ok();
    }
}

/// Nor does one that cannot be read.
#[test]
fn gc_with_something_else_than_a_list_is_refused() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        for list in [json!({}), json!("none"), json!([{"ifname": "eth0"}]), json!([1])] {
            let mut config = scene.config(plugin);
            config["cni.dev/valid-attachments"] = list;
            let error = error(scene.call_with(plugin, "GC", &config).run());
            assert_eq!(error.code, 7, "{plugin}: {error:?}");
            let all = format!("{} {}", error.msg, error.details);
            assert!(all.contains("cni.dev/valid-attachments"), "{plugin}: {error:?}");
        }
    }
    scene.host.snapshot().assert_nothing_since(&before);
}

/// libcni 1.2.0 wrote the list under another name, and still writes both.
#[test]
fn gc_reads_the_lists_first_name_too() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    scene.call("host-local", "ADD").run().ok();
    let mut config = scene.config("host-local");
    config["cni.dev/attachments"] = json!([{"containerID": "attached", "ifname": "eth0"}]);
    scene.call_with("host-local", "GC", &config).run().ok();
    scene.host.snapshot().assert_nothing_since(&before);
}

/// "A plugin must exit with a zero (success) return code if the plugin is ready to service ADD requests" (STATUS).
#[test]
fn status_succeeds_when_add_would() {
    let scene = Scene::new();
    scene.host.assert_leaves_nothing(|| {
        for plugin in PLUGINS {
            let mut config = scene.config(plugin);
            config.as_object_mut().unwrap().remove("prevResult");
            let call = scene.host.cni(plugin).command("STATUS").config(&config);
            call.run().ok();
        }
    });
}

/// "`50`: The plugin is not available (i.e. cannot service `ADD` requests)" (STATUS).
#[test]
fn status_says_50_when_add_would_fail() {
    let scene = Scene::new();
    // Where no folder can be made.
    let nowhere = json!({"type": "host-local", "subnet": "10.7.0.0/24", "dataDir": "/proc/nowhere"});
    for plugin in INTERFACES.into_iter().chain(["host-local"]) {
        let mut config = scene.config(plugin);
        config["ipam"] = nowhere.clone();
        let error = error(scene.host.cni(plugin).command("STATUS").config(&config).run());
        assert_eq!(error.code, 50, "{plugin}: {error:?}");
        let all = format!("{} {}", error.msg, error.details);
        assert!(all.contains("/proc/nowhere"), "{plugin}: {error:?}");
    }
    for plugin in INTERFACES {
        let status = scene.host.cni(plugin).command("STATUS").config(&scene.config(plugin));
        let error = error(status.path("/run/nowhere").run());
        assert_eq!(error.code, 50, "{plugin}: {error:?}");
        assert!(error.msg.contains("host-local") && error.msg.contains("/run/nowhere"), "{plugin}: {error:?}");
    }
}

/// "Plugins should always expect other CNI operations (like `ADD`, `DEL`, etc) even if `STATUS` returns an error"
/// (STATUS).
#[test]
fn del_works_when_status_fails() {
    let host = Host::new();
    let container = host.container("c1");
    let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/30", "rangeStart": "10.7.0.2", "rangeEnd": "10.7.0.2"});
    let config = json!({"type": "host-local", "cniVersion": newest_version(), "ipam": ipam});
    host.assert_leaves_nothing(|| {
        let call = host.cni("host-local").container(&container).config(&config);
        call.clone().command("ADD").run().ok();
        error(call.clone().command("ADD").container_id("c2").run());
        call.command("DEL").run().ok();
    });
}
