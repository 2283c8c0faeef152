//! Who reaches whom, and under which address.

use serde_json::{Value, json};
use tests::{Host, Inside as _, address, example, reference_differs, wire};

use super::{config, dual_stack, fixed, host_end, ipam, network, routes};
use crate::networks::{firewall, portmap, ports};

#[test]
fn the_example_connects_containers_with_each_other_the_host_and_the_world() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = host.chain(&example("ptp"));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for family in [0, 1] {
        let to = format!("{}:80", address(&result, family));
        peer.assert_reaches_tcp(&to);
        host.assert_reaches_tcp(&to);
    }
    assert_eq!(web.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
    assert_eq!(web.assert_reaches_tcp("[2001:db8::2]:80").ip().to_string(), "2001:db8::1");
}

#[test]
fn host_and_container_reach_each_other_over_both_families() {
    let host = Host::new();
    let c1 = host.container("c1");
    network(&host, &json!({"ipam": dual_stack()})).add(&c1, "eth0").ok();
    host.wait_for_ipv6();
    let (_inside, _outside) = (c1.listen_tcp(80), host.listen_tcp(8080));
    for (to, from) in [("10.1.0.2:80", "10.1.0.1"), ("[fd00:1::2]:80", "fd00:1::1")] {
        assert_eq!(host.assert_reaches_tcp(to).ip().to_string(), from);
    }
    for (to, from) in [("10.1.0.1:8080", "10.1.0.2"), ("[fd00:1::1]:8080", "fd00:1::2")] {
        assert_eq!(c1.assert_reaches_tcp(to).ip().to_string(), from);
    }
}

#[test]
fn containers_reach_each_other_through_the_host_under_their_own_addresses() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({"ipMasq": true, "ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    network.add(&c2, "eth0").ok();
    let _server = c2.listen_tcp(80);
    assert_eq!(c1.assert_reaches_tcp("10.1.0.3:80").ip().to_string(), "10.1.0.2");
    assert_eq!(c1.assert_reaches_tcp("[fd00:1::3]:80").ip().to_string(), "fd00:1::2");
    host.shell("sysctl -q net.ipv4.ip_forward=0");
    c1.assert_blocked_tcp("10.1.0.3:80");
}

#[test]
fn a_container_that_goes_leaves_the_gateway_to_the_others() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({"ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    network.add(&c2, "eth0").ok();
    network.del(&c1, "eth0").ok();
    let _host = host.listen_tcp(8080);
    c2.assert_reaches_tcp("10.1.0.1:8080");
    c2.assert_reaches_tcp("[fd00:1::1]:8080");
}

#[test]
fn the_outside_sees_the_host_whichever_backend_masquerades() {
    let mut backends = vec![Value::Null];
    if !reference_differs("this version has not got this key") {
        backends.extend([json!("nftables"), json!("iptables")]);
    }
    for backend in backends {
        let (host, outside) = wire();
        let c1 = host.container("c1");
        let keys = json!({"ipMasq": true, "ipMasqBackend": backend, "ipam": dual_stack()});
        network(&host, &keys).add(&c1, "eth0").ok();
        let (_tcp, _udp, _host) = (outside.listen_tcp(80), outside.listen_udp(53), host.listen_tcp(8080));
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1", "{backend}");
        assert_eq!(c1.assert_reaches_tcp("[2001:db8::2]:80").ip().to_string(), "2001:db8::1", "{backend}");
        assert_eq!(c1.assert_reaches_udp("192.0.2.2:53").ip().to_string(), "192.0.2.1", "{backend}");
        assert_eq!(c1.assert_reaches_tcp("10.1.0.1:8080").ip().to_string(), "10.1.0.2", "{backend}");
    }
}

#[test]
fn without_ip_masq_the_outside_sees_and_reaches_the_container() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    network(&host, &json!({"ipam": dual_stack()})).add(&c1, "eth0").ok();
    outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip route add fd00:1::/64 via 2001:db8::1");
    let (_outside, _inside) = (outside.listen_tcp(80), c1.listen_tcp(80));
    assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "10.1.0.2");
    assert_eq!(c1.assert_reaches_tcp("[2001:db8::2]:80").ip().to_string(), "fd00:1::2");
    assert_eq!(outside.assert_reaches_tcp("10.1.0.2:80").ip().to_string(), "192.0.2.2");
    assert_eq!(outside.assert_reaches_tcp("[fd00:1::2]:80").ip().to_string(), "2001:db8::2");
}

/// There is no bridge between the container and the host that a published port could hairpin on.
#[test]
fn ports_are_published_through_portmap_and_firewall() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let ptp = config(&json!({"ipMasq": true, "ipam": dual_stack()}));
    let list = json!({"name": "net", "plugins": [ptp, portmap(&json!({})), firewall(&json!({}))]});
    let network = host.chain(&list).capabilities(&ports(&[("tcp", 8080, 80), ("udp", 5353, 53)]));
    let plain = host.chain(&list);
    if !reference_differs("a policy to drop holds for its published ports too") {
        host.shell("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    }
    let before = host.snapshot();
    network.add(&web, "eth0").ok();
    plain.add(&peer, "eth0").ok();
    host.wait_for_ipv6();
    let (_web, _dns) = (web.listen_tcp(80), web.listen_udp(53));
    if !reference_differs("its CHECK fails with any port mapping") {
        network.check(&web, "eth0").ok();
    }
    for address in ["192.0.2.1", "[2001:db8::1]"] {
        for client in [&peer, &web] {
            client.assert_reaches_tcp(&format!("{address}:8080"));
            client.assert_reaches_udp(&format!("{address}:5353"));
        }
        host.assert_reaches_tcp(&format!("{address}:8080"));
        outside.assert_reaches_tcp(&format!("{address}:8080"));
        outside.assert_reaches_udp(&format!("{address}:5353"));
    }
    host.assert_reaches_tcp("127.0.0.1:8080");
    network.del(&web, "eth0").ok();
    plain.del(&peer, "eth0").ok();
    if !reference_differs("what it changed for firewall stays") {
        host.snapshot().assert_nothing_since(&before);
    }
}

/// The policy takes the link on the host for the bridge: each container has one of its own.
#[test]
fn same_bridge_isolates_each_container_as_long_as_it_is_there() {
    for backend in ["nftables", "iptables"] {
        if backend == "nftables" && reference_differs("it has no such backend") {
            continue;
        }
        let host = Host::new();
        let [c1, c2, c3] = ["c1", "c2", "c3"].map(|name| host.container(name));
        let policy = firewall(&json!({"backend": backend, "ingressPolicy": "same-bridge"}));
        let list = json!({"name": "net", "plugins": [config(&json!({"ipam": dual_stack()})), policy]});
        let network = host.chain(&list);
        let [first, second, _] = [&c1, &c2, &c3].map(|container| network.add(container, "eth0").ok());
        let _servers = (c1.listen_tcp(80), c2.listen_tcp(80));
        let assert_isolated = |result: &Value| {
            for family in [0, 1] {
                let to = format!("{}:80", address(result, family));
                host.assert_reaches_tcp(&to);
                c3.assert_blocked_tcp(&to);
            }
        };
        assert_isolated(&first);
        network.del(&c1, "eth0").ok();
        assert_isolated(&second);
        let rules = host.shell("iptables-save; ip6tables-save; nft list ruleset");
        if !reference_differs("the isolation stays") {
            assert!(!rules.contains(host_end(&first)), "{backend}: {rules}");
        }
    }
}

#[test]
fn a_container_is_on_two_networks() {
    let host = Host::new();
    let c1 = host.container("c1");
    let first = network(&host, &json!({"ipam": dual_stack()}));
    let second = config(&json!({"ipam": ipam(&["10.2.0.0/24", "fd00:2::/64"])}));
    let second = host.chain(&json!({"name": "second", "plugins": [second]}));
    first.add(&c1, "eth0").ok();
    let added = second.add(&c1, "eth1");
    if reference_differs("a second default route is refused") {
        return;
    }
    added.ok();
    let _host = host.listen_tcp(8080);
    for (gateway, seen) in
        [("10.1.0.1", "10.1.0.2"), ("10.2.0.1", "10.2.0.2"), ("[fd00:1::1]", "fd00:1::2"), ("[fd00:2::1]", "fd00:2::2")]
    {
        assert_eq!(c1.assert_reaches_tcp(&format!("{gateway}:8080")).ip().to_string(), seen);
    }
    first.check(&c1, "eth0").ok();
    second.check(&c1, "eth1").ok();
    second.del(&c1, "eth1").ok();
    first.check(&c1, "eth0").ok();
}

/// Several addresses in a subnet have one gateway; one without a subnet has a gateway all the same.
#[test]
fn addresses_may_share_a_gateway_and_need_no_subnet() {
    let host = Host::new();
    let c1 = host.container("c1");
    let ipam = fixed(&[
        ("10.1.0.2/24", "10.1.0.1"),
        ("10.1.0.3/24", "10.1.0.1"),
        ("10.9.0.5/32", "169.254.1.1"),
        ("fd00:1::2/64", "fe80::1"),
        ("fd00:1::3/64", "fe80::1"),
    ]);
    let network = network(&host, &json!({"ipam": ipam}));
    let result = network.add(&c1, "eth0").ok();
    assert_eq!(
        routes(&c1),
        [
            "10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2",
            "10.1.0.1 dev eth0 scope link src 10.1.0.2",
            "169.254.1.1 dev eth0 scope link src 10.9.0.5",
            "fd00:1::/64 via fe80::1 dev eth0 src fd00:1::2 metric 1024 pref medium",
        ]
    );
    assert_eq!(host.addresses(host_end(&result)), ["10.1.0.1/32", "169.254.1.1/32"]);
    let _server = c1.listen_tcp(80);
    for to in ["10.1.0.2", "10.1.0.3", "10.9.0.5", "[fd00:1::2]", "[fd00:1::3]"] {
        host.assert_reaches_tcp(&format!("{to}:80"));
    }
    network.check(&c1, "eth0").ok();
    network.del(&c1, "eth0").ok();
}

#[test]
fn routes_of_the_ipam_plugin_lead_through_the_gateway_or_where_they_say() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut ipam = dual_stack();
    ipam["routes"] = json!([
        {"dst": "10.9.0.0/16"}, {"dst": "10.8.0.0/16", "gw": "10.1.0.7"}, {"dst": "fd00:9::/32"}
    ]);
    let network = network(&host, &json!({"ipam": ipam}));
    network.add(&c1, "eth0").ok();
    let found = routes(&c1).join("\n");
    for route in ["10.9.0.0/16 via 10.1.0.1 dev eth0", "10.8.0.0/16 via 10.1.0.7 dev eth0", "fd00:9::/32 via fd00:1::1"]
    {
        assert!(found.contains(route), "{route}: {found}");
    }
    if !reference_differs("its CHECK takes a route that names no gateway for one that has none") {
        network.check(&c1, "eth0").ok();
    }
}

/// Two networks with one subnet: what is for the first container must not go to the second.
#[test]
fn an_address_that_another_container_has_is_refused() {
    for family in ["10.1.0.0/24", "fd00:1::/64"] {
        let host = Host::new();
        let (c1, c2) = (host.container("c1"), host.container("c2"));
        let first = network(&host, &json!({"ipMasq": true, "ipam": ipam(&[family])}));
        let second = config(&json!({"ipMasq": true, "ipam": ipam(&[family])}));
        let second = host.chain(&json!({"name": "second", "plugins": [second]}));
        let result = first.add(&c1, "eth0").ok();
        let error = host.assert_leaves_nothing(|| second.add(&c2, "eth0").error());
        let taken = address(&result, 0).replace(['[', ']'], "");
        assert!(error.code == 7 && error.msg.contains(host_end(&result)) && error.msg.contains(&taken), "{error:?}");
        assert!(error.msg.contains("subnet of its own"), "{error:?}");
        first.check(&c1, "eth0").ok();
        let _server = c1.listen_tcp(80);
        host.assert_reaches_tcp(&format!("{}:80", address(&result, 0)));
    }
}
