//! Gateways that are in no range, and none.

use serde_json::{Value, json};
use tests::{Chain, Host, Inside as _, address, reference_differs, wire};

use super::{OURS, add, call, del, network};

/// A router of another prefix, and the commonest one of IPv6: known by its link-local address.
fn elsewhere() -> Value {
    json!({
        "type": "host-local",
        "ranges": [
            [{"subnet": "198.51.100.0/24", "gateway": "192.0.2.2"}], [{"subnet": "2001:db8:1::/64", "gateway": "fe80::2"}]
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    })
}

#[test]
fn a_gateway_outside_of_the_subnet_is_reported_and_takes_no_address_of_it() {
    let host = Host::new();
    let mut config = network(&elsewhere());
    let reply = add(&host, OURS, "c1", &config).ok();
    let expected = json!([
        {"address": "198.51.100.1/24", "gateway": "192.0.2.2"}, {"address": "2001:db8:1::1/64", "gateway": "fe80::2"}
    ]);
    assert_eq!(reply["ips"], expected);
    config["prevResult"] = reply;
    call(&host, OURS, "CHECK", "c1", &config).run().ok();
    del(&host, OURS, "c1", &config);
    if !reference_differs("it has no STATUS") {
        config["cniVersion"] = json!("1.1.0");
        host.cni(OURS).command("STATUS").config(&config).run().ok();
    }
}

#[test]
fn a_gateway_of_zeroes_is_none() {
    let host = Host::new();
    for (i, (subnet, zeroes, address)) in
        [("10.1.2.0/24", "0.0.0.0", "10.1.2.2/24"), ("fd00::/64", "::", "fd00::2/64")].into_iter().enumerate()
    {
        let config = network(&json!({"subnet": subnet, "gateway": zeroes}));
        assert_eq!(add(&host, OURS, &format!("c{i}"), &config).ok()["ips"], json!([{"address": address}]));
    }
}

/// A bridge that is to be a gateway takes the first address where none is configured.
#[test]
fn no_container_has_the_address_of_its_bridge() {
    let host = Host::new();
    let c1 = host.container("c1");
    let ipam = json!({
        "type": "host-local", "ranges": [[{"subnet": "10.1.2.0/24", "gateway": "0.0.0.0"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
    });
    let bridge = json!({"type": "bridge", "bridge": "br0", "isGateway": true, "ipam": ipam});
    let network = host.chain(&json!({"name": "net", "plugins": [bridge]}));
    let result = network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    if reference_differs("its bridge has no address then") {
        return;
    }
    let _server = host.listen_tcp(80);
    assert_eq!(c1.assert_reaches_tcp("10.1.2.1:80").ip().to_string(), address(&result, 0));
}

#[test]
fn macvlan_s_default_route_needs_no_gateway() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for ipam in [
        json!({"type": "host-local", "subnet": "10.1.2.0/24", "gateway": "0.0.0.0"}),
        json!({"type": "static", "addresses": [{"address": "10.1.2.2/24", "gateway": "0.0.0.0"}]}),
    ] {
        let mut ipam = ipam;
        ipam["routes"] = json!([{"dst": "0.0.0.0/0"}]);
        let plugin = json!({"type": "macvlan", "master": "uplink", "ipam": ipam});
        let network = host.chain(&json!({"name": "net", "plugins": [plugin]}));
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        assert!(c1.shell("ip route").starts_with("default dev eth0"));
        network.del(&c1, "eth0").ok();
    }
}

/// A network on the wire whose router outside has these two addresses.
fn attach<'h>(host: &'h Host, outside: &Host, plugin: &Value) -> Chain<'h> {
    outside.shell(
        "ip addr add fe80::2/64 dev uplink nodad
         ip route add 198.51.100.0/24 dev uplink; ip route add 2001:db8:1::/64 dev uplink",
    );
    host.chain(&json!({"name": "net", "plugins": [plugin]}))
}

#[test]
fn macvlan_s_containers_reach_the_world_through_a_gateway_outside_of_their_subnet() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    let network = attach(&host, &outside, &json!({"type": "macvlan", "master": "uplink", "ipam": elsewhere()}));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    outside.shell("ip addr add 203.0.113.1/32 dev lo; ip addr add 2001:db8:9::1/128 dev lo nodad");
    let _server = outside.listen_tcp(80);
    for far in ["203.0.113.1:80", "[2001:db8:9::1]:80"] {
        c1.assert_reaches_tcp(far);
    }
    network.del(&c1, "eth0").ok();
}

#[test]
fn ptp_s_containers_reach_the_world_through_a_gateway_outside_of_their_subnet() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    let mut ipam = elsewhere();
    ipam["ranges"][0][0]["gateway"] = json!("169.254.1.1");
    ipam["ranges"][1][0]["gateway"] = json!("fe80::1");
    let network = attach(&host, &outside, &json!({"type": "ptp", "ipam": ipam}));
    outside.shell("ip route replace 198.51.100.0/24 via 192.0.2.1; ip route replace 2001:db8:1::/64 via 2001:db8::1");
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    let _server = outside.listen_tcp(80);
    for far in ["192.0.2.2:80", "[2001:db8::2]:80"] {
        c1.assert_reaches_tcp(far);
    }
    network.del(&c1, "eth0").ok();
}
