//! 802.1Q links: the plugin vlan. tests/by-plugin/vlan.rs has what needs none.
//!
//! - `lifetime`: DEL, CHECK, GC, STATUS, interruptions, and the reference in our place
//! - `link`: what the container's interface is, and what is refused

mod lifetime;
mod link;

use serde_json::{Value, json};
use tests::{Capture, Chain, Cni, Container, Host, Inside as _, address, every_plugin_rules, example};

/// A plugin vlan on `uplink`, VLAN 100, with these keys beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "vlan", "master": "uplink", "vlanId": 100, "ipam": ipam(10)});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": name, "plugins": [config(keys)]}))
}

/// Both families, one subnet for all networks of a test; each gives addresses from `first` on.
fn ipam(first: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "10.1.0.0/24", "rangeStart": format!("10.1.0.{first}")}],
        [{"subnet": "fd00:1::/64", "rangeStart": format!("fd00:1::{first}")}],
    ]})
}

/// One call of a program that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, program: &str, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni(program).command(verb).container(container).config(config)
}

/// A host with a link `uplink`, which has no neighbour.
fn host() -> Host {
    let host = Host::new();
    host.shell("ip link add uplink up type veth peer name wire; ip link set wire up");
    host
}

#[test]
fn the_kernel_has_it() {
    Host::new().shell("ip link add name e0 type veth peer name e1; ip link add name e0.5 link e0 type vlan id 5");
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = host();
    every_plugin_rules(&network(&host, "net", &json!({"mtu": 1400})), &host.container("c1"), "eth0");
}

#[test]
fn containers_of_one_vlan_reach_each_other_over_the_wire_and_nobody_else() {
    let host = Host::new();
    let elsewhere = host.neighbour();
    let [c1, other] = ["c1", "other"].map(|name| host.container(name));
    let [c2, stranger] = ["c2", "stranger"].map(|name| elsewhere.container(name));
    let server = network(&host, "net", &json!({})).add(&c1, "eth0").ok();
    network(&host, "other", &json!({"vlanId": 200, "ipam": ipam(30)})).add(&other, "eth0").ok();
    network(&elsewhere, "net", &json!({"ipam": ipam(50)})).add(&c2, "eth0").ok();
    network(&elsewhere, "stranger", &json!({"vlanId": 300, "ipam": ipam(70)})).add(&stranger, "eth0").ok();
    let wire = Capture::start(&host, "wire", "-i uplink tcp");
    let _server = c1.listen_tcp(80);
    for index in [0, 1] {
        let server = format!("{}:80", address(&server, index));
        c2.assert_reaches_tcp(&server);
        stranger.assert_blocked_tcp(&server);
        other.assert_blocked_tcp(&server);
    }
    elsewhere.shell("ip addr add 10.1.0.99/24 dev uplink");
    elsewhere.assert_blocked_tcp("10.1.0.10:80");
    wire.assert_sees("vlan 100.*10.1.0.50.*10.1.0.10.80");
    wire.assert_sees("vlan 100.*fd00:1::50.*fd00:1::10.80");
}

#[test]
fn the_example_puts_a_container_into_a_vlan_of_the_wire() {
    let host = Host::new();
    let router = host.neighbour();
    let c1 = host.container("c1");
    host.shell("ip link set uplink down; ip link set uplink name eth0; ip link set eth0 up");
    router.shell(
        "ip link add uplink.100 link uplink up type vlan id 100
         ip addr add 192.168.100.1/24 dev uplink.100; ip addr add fd00:100::1/64 dev uplink.100 nodad
         ip link add beyond up type bridge; ip addr add 198.51.100.1/24 dev beyond
         ip addr add 2001:db8:1::1/64 dev beyond nodad",
    );
    let _server = router.listen_tcp(80);
    let network = host.chain(&example("vlan"));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    for address in ["198.51.100.1:80", "[2001:db8:1::1]:80"] {
        c1.assert_reaches_tcp(address);
    }
    network.del(&c1, "eth0").ok();
}
