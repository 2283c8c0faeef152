//! Links of type ipvlan whose parent is a VLAN: made for the tag, shared, and taken away with the last of them.

use serde_json::{Value, json};
use tests::{Chain, Host, Inside as _, address, every_plugin_rules, example, reference_differs, wire};

fn network<'h>(name: &str, host: &'h Host, keys: &Value) -> Chain<'h> {
    let mut config = json!({"type": "ipvlan", "enabledad": false});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.chain(&json!({"name": name, "plugins": [config]}))
}

/// Addresses of its own, in one subnet whatever the VLAN: who is separated is so by the tag.
fn ipam(first: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "10.1.0.0/24", "rangeStart": format!("10.1.0.{first}")}],
        [{"subnet": "fd00:1::/64", "rangeStart": format!("fd00:1::{first}")}],
    ]})
}

#[test]
fn the_kernel_has_it() {
    Host::new().shell(
        "ip link add name e0 type veth peer name e1
         ip link add name e0.5 link e0 type vlan id 5
         ip link add name x0 link e0.5 type ipvlan",
    );
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let _outside = host.neighbour();
    every_plugin_rules(
        &network("net", &host, &json!({"master": "uplink.20", "ipam": ipam(10)})),
        &host.container("c1"),
        "eth0",
    );
}

#[test]
fn tags_of_one_nic_do_not_reach_each_other_and_each_may_have_its_mode() {
    let (host, outside) = wire();
    outside.shell(
        "ip link add uplink.20 up link uplink type vlan id 20
         ip addr add 10.1.0.1/24 dev uplink.20; ip addr add fd00:1::1/64 dev uplink.20 nodad",
    );
    let [web, peer, stranger] = ["web", "peer", "stranger"].map(|name| host.container(name));
    let one = network("one", &host, &json!({"master": "uplink.20", "ipam": ipam(10)}));
    let two = network("two", &host, &json!({"master": "uplink.20", "ipam": ipam(50)}));
    let other = network("other", &host, &json!({"master": "uplink.30", "mode": "l3", "ipam": ipam(100)}));
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    let before = host.snapshot();
    let result = one.add(&web, "eth0").ok();
    other.status().ok();
    two.add(&peer, "eth0").ok();
    other.add(&stranger, "eth0").ok();
    for (index, gateway) in [(0, "10.1.0.1:80"), (1, "[fd00:1::1]:80")] {
        let to_web = format!("{}:80", address(&result, index));
        peer.assert_reaches_tcp(&to_web);
        outside.assert_reaches_tcp(&to_web);
        web.assert_reaches_tcp(gateway);
        stranger.assert_blocked_tcp(&to_web);
        stranger.assert_blocked_tcp(gateway);
    }
    // A repeated ADD fails, and the parent stays for whom it is.
    assert!(!one.add(&web, "eth0").is_ok());
    for (network, container) in [(&two, &peer), (&other, &stranger)] {
        network.check(container, "eth0").ok();
        network.del(container, "eth0").ok();
    }
    one.check(&web, "eth0").ok();
    assert_eq!(host.links(), ["lo", "uplink", "uplink.20"]);
    one.del_blind(&web, "eth0").ok();
    assert_eq!(host.links(), ["lo", "uplink"]);
    host.snapshot().without(&web).assert_nothing_since(&before.without(&web));
}

#[test]
fn gc_takes_the_parent_that_nobody_holds_any_more() {
    let host = Host::new();
    let _outside = host.neighbour();
    let network = network("net", &host, &json!({"master": "uplink.20", "ipam": ipam(10)}));
    let before = host.snapshot();
    let c1 = host.container("c1");
    network.add(&c1, "eth0").ok();
    let _gone = host.lose(c1);
    network.gc(&[]).ok();
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn the_example_is_on_its_vlan() {
    let (host, outside) = wire();
    outside.shell("ip link add uplink.20 up link uplink type vlan id 20; ip addr add 192.168.20.1/24 dev uplink.20");
    let mut example = example("ipvlan-trunk");
    example["plugins"][0]["master"] = json!("uplink.20");
    if reference_differs("it makes no parent") {
        host.shell("ip link add uplink.20 up link uplink type vlan id 20");
    }
    let network = host.chain(&example);
    let (web, peer) = (host.container("web"), host.container("peer"));
    let _web = web.listen_tcp(80);
    network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    peer.assert_reaches_tcp("192.168.20.100:80");
    outside.assert_reaches_tcp("192.168.20.100:80");
    host.assert_blocked_tcp("192.168.20.100:80");
}
