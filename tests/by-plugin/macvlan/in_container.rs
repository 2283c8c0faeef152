//! Parents that are in the container (`linkInContainer`).

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, every_plugin_rules};

use super::{named, options};

fn subnet(number: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": format!("10.{number}.0.0/24")}], [{"subnet": format!("fd00:{number}::/64")}]
    ]})
}

/// A host whose bridge has 10.2.0.1 and fd00:2::1, and a container whose eth0 is one of its ports.
fn behind_a_bridge() -> (Host, Container) {
    let host = Host::new();
    let container = host.container("c1");
    let bridge = json!({"type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipam": subnet(1)});
    host.chain(&json!({"name": "first", "plugins": [bridge]})).add(&container, "eth0").ok();
    host.shell(
        "ip addr add 10.2.0.1/24 dev br0; ip addr add fd00:2::1/64 dev br0 nodad
         until ip -6 route show table local | grep -q fd00:2::1; do sleep 0.02; done",
    );
    (host, container)
}

fn keys(master: Option<&str>) -> Value {
    json!({"master": master, "linkInContainer": true, "ipam": subnet(2)})
}

#[test]
fn the_link_is_made_on_a_link_of_the_container() {
    for master in [Some("eth0"), None] {
        let (host, c1) = behind_a_bridge();
        let network = named("second", &host, &keys(master));
        host.assert_leaves_nothing(|| {
            network.add(&c1, "eth1").ok();
            assert_eq!(c1.link("eth1")["link"], "eth0");
            assert_eq!(options(&c1, "eth1")["mode"], "bridge");
            c1.shell("ping -n -c1 -w5 -I eth1 10.2.0.1; ping -n -c1 -w5 -I eth1 fd00:2::1");
            network.check(&c1, "eth1").ok();
            network.del(&c1, "eth1").ok();
        });
    }
}

#[test]
fn the_rules_of_every_plugin_hold_there_too() {
    let (host, c1) = behind_a_bridge();
    every_plugin_rules(&named("second", &host, &keys(Some("eth0"))), &c1, "eth1");
}

#[test]
fn what_the_container_has_not_got_is_not_looked_for_on_the_host() {
    let (host, c1) = behind_a_bridge();
    let c2 = host.container("c2");
    for (container, master, words) in
        [(&c1, Some("br0"), "br0"), (&c1, Some("eth0.20"), "eth0.20"), (&c2, None, "default")]
    {
        let network = named("second", &host, &keys(master));
        let error = host.assert_leaves_nothing(|| network.add(container, "eth1").error());
        assert!(error.msg.contains(words), "{error:?}");
        // Of a container that is not there yet, nothing can be said.
        network.status().ok();
    }
}

#[test]
fn the_link_goes_with_its_parent_and_del_succeeds() {
    let (host, c1) = behind_a_bridge();
    let network = named("second", &host, &keys(Some("eth0")));
    network.add(&c1, "eth1").ok();
    c1.shell("ip link del eth0");
    assert_eq!(c1.links(), ["lo"]);
    network.del(&c1, "eth1").ok();
    assert_eq!(host.run(["find", "/var/lib/cni/networks/second", "-name", "[1-9f]*"]), "");
}
