//! Killed in the middle, or with nobody listening: what a DEL and a GC find afterwards.

use serde_json::{Value, json};
use tests::{Host, Inside as _, Snapshot, reference_differs};

use crate::scene::{PLUGINS, Scene, bridge_config};

/// A shell that runs its first argument with a stdout whose reader has gone.
const NO_READER: &str = r#"mkfifo /run/fifo; exec 3<>/run/fifo 4>/run/fifo 3<&-; rm /run/fifo; exec "$0" >&4 4>&-"#;

/// What a runtime does when a plugin was killed: DEL, of which it knows neither the result nor the namespace, and at
/// some time GC. Both together leave nothing.
fn clean_up(scene: &Scene, plugin: &str, before: &Snapshot, point: &str) {
    scene.blind_del(plugin).ok();
    let after_del = scene.host.snapshot().leftovers(before);
    scene.gc(plugin).ok();
    let leftovers = scene.host.snapshot().leftovers(before);
    assert!(leftovers.is_empty(), "{plugin} killed at {point}; after DEL {after_del:#?}, after GC {leftovers:#?}");
    assert!(after_del.is_empty(), "{plugin} killed at {point}: DEL leaves to GC {after_del:#?}");
}

/// At so many points a plugin changes something at the least. dhcp has its daemon do everything, and asks it once.
fn fewest_changes(plugin: &str) -> usize {
    if plugin == "dhcp" { 1 } else { 2 }
}

fn add_is_killed(plugin: &str) {
    if reference_differs("it needs the result of ADD to find what it made") {
        return;
    }
    let scene = Scene::new();
    let before = scene.host.snapshot();
    let kills = scene.call(plugin, "ADD").killed_at_every_change(|point| clean_up(&scene, plugin, &before, point));
    assert!(kills >= fewest_changes(plugin), "{plugin} was killed {kills} times only");
    scene.call(plugin, "ADD").run().ok();
}

fn del_is_killed(plugin: &str) {
    if reference_differs("it needs the result of ADD to find what it made") {
        return;
    }
    let scene = Scene::new();
    let before = scene.host.snapshot();
    scene.call(plugin, "ADD").run().ok();
    let kills = scene.call(plugin, "DEL").killed_at_every_change(|point| {
        clean_up(&scene, plugin, &before, point);
        scene.call(plugin, "ADD").run().ok();
    });
    assert!(kills >= fewest_changes(plugin), "{plugin} was killed {kills} times only");
}

macro_rules! killed {
    ($($plugin:ident: $name:literal)*) => {
        /// "A _delete_ must still be executed even if the _add_ fails" (Lifecycle & Ordering): by a kill, too, at any
        /// of its changes.
        mod add_can_be_killed_anywhere { $(#[test] fn $plugin() { super::add_is_killed($name); })* }
        /// "_delete_ may be followed by additional _deletes_" (Lifecycle & Ordering).
        mod del_can_be_killed_anywhere_and_repeated { $(#[test] fn $plugin() { super::del_is_killed($name); })* }
    };
}

// Not host and static, which change nothing.
killed! {
    bandwidth: "bandwidth"
    bridge: "bridge"
    cluster: "cluster"
    dhcp: "dhcp"
    dnsname: "dnsname"
    firewall: "firewall"
    host_device: "host-device"
    host_local: "host-local"
    loopback: "loopback"
    macvlan: "macvlan"
    none: "none"
    overlay: "overlay"
    portmap: "portmap"
    ptp: "ptp"
    tap: "tap"
    tuning: "tuning"
}

/// A runtime that has forgotten the container altogether calls no DEL: then GC finds everything that is on the host.
/// (But not the link that an interface plugin was about to label: the kernel takes no label in the message that makes a link. It
/// goes with the container's namespace.)
#[test]
fn gc_alone_cleans_up_after_a_killed_add() {
    for plugin in ["dhcp", "dnsname", "host-local", "portmap", "firewall"] {
        let scene = Scene::new();
        let before = scene.host.snapshot();
        scene.call(plugin, "ADD").killed_at_every_change(|point| {
            scene.gc(plugin).ok();
            let leftovers = scene.host.snapshot().leftovers(&before);
            assert!(leftovers.is_empty(), "{plugin} killed at {point}; after GC {leftovers:#?}");
        });
    }
}

/// The whole list is deleted in reverse order, the plugins that were never run included.
#[test]
fn an_add_that_is_killed_in_the_middle_of_a_list_leaves_nothing() {
    let scene = Scene::new();
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let ports = json!({"portMappings": [{"hostPort": 8000, "containerPort": 80, "protocol": "tcp"}]});
    let list = |plugins: Value| scene.host.chain(&json!({"name": "list", "plugins": plugins})).capabilities(&ports);
    let mut bridge = bridge_config();
    bridge["bridge"] = json!("br1");
    bridge["ipam"]["ranges"] = json!([[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00:2::/64"}]]);
    let until_portmap = list(json!([bridge, portmap]));
    let whole = list(json!([bridge, portmap, {"type": "firewall"}]));
    let before = scene.host.snapshot();
    until_portmap.add_all_but_last(&scene.fresh, "eth0").killed_at_every_change(|point| {
        whole.del_blind(&scene.fresh, "eth0").ok();
        let left = scene.host.snapshot().leftovers(&before);
        assert!(left.is_empty(), "killed at {point}, after DEL {left:#?}");
        whole.gc(&[]).ok();
        scene.host.snapshot().assert_nothing_since(&before);
        let _ = until_portmap.add_all_but_last(&scene.fresh, "eth0");
    });
}

/// What a killed ADD has made of the bridge is completed by the next one, and works.
#[test]
fn the_first_add_on_a_host_can_be_killed_anywhere() {
    let host = Host::new();
    let network = host.chain(&json!({"name": "test", "plugins": [bridge_config()]}));
    let (first, second) = (host.container("first"), host.container("second"));
    let before = host.snapshot();
    let add = host.cni("bridge").command("ADD").container(&first).config(&bridge_config());
    add.killed_at_every_change(|point| {
        let reply = network.add(&second, "eth0").ok();
        for (family, gateway) in ["10.1.0.1", "fd00:1::1"].into_iter().enumerate() {
            assert_eq!(reply["ips"][family]["gateway"], gateway, "{point}");
            second.assert_pings(gateway);
        }
        for container in [&first, &second] {
            network.del_blind(container, "eth0").ok();
        }
        network.gc(&[]).ok();
        host.snapshot().assert_nothing_since(&before);
        host.shell("ip link del br0; nft flush ruleset; rm -rf /var/lib/cni/networks");
    });
}

/// "If the CNI plugin is successful, it must output a result structure on standard out" (ADD): if it cannot, it was
/// not successful.
#[test]
fn an_add_that_nobody_can_hear_leaves_nothing() {
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        let add = scene.call(plugin, "ADD");
        for outcome in [add.run_unheard(), add.run_under(&["sh", "-euc", NO_READER])] {
            assert_eq!(outcome.finished.status.code(), Some(1), "{plugin}: {}", outcome.finished);
            assert!(outcome.finished.stderr.contains("stdout"), "{plugin}: {}", outcome.finished);
            scene.host.snapshot().assert_nothing_since(&before);
        }
    }
}
