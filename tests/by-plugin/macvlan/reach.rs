//! Who reaches whom, and at once.

use serde_json::json;
use tests::{Capture, Inside as _, address, reference_differs};

use super::{call, config, ipv4, mac, network, of_the_wire, wire};

#[test]
fn in_mode_bridge_containers_reach_each_other_and_the_wire_but_not_their_host() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_web, _host, _outside) = (web.listen_tcp(80), host.listen_tcp(80), outside.listen_tcp(80));
    for (index, on_host, on_wire) in [(0, "192.0.2.1:80", "192.0.2.2:80"), (1, "[2001:db8::1]:80", "[2001:db8::2]:80")]
    {
        let to_web = format!("{}:80", address(&result, index));
        peer.assert_reaches_tcp(&to_web);
        outside.assert_reaches_tcp(&to_web);
        assert_eq!(web.assert_reaches_tcp(on_wire).ip().to_string(), address(&result, index).replace(['[', ']'], ""));
        outside.assert_reaches_tcp(on_host);
        host.assert_blocked_tcp(&to_web);
        web.assert_blocked_tcp(on_host);
    }
}

#[test]
fn in_mode_private_containers_reach_the_wire_only() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = network(&host, &json!({"mode": "private", "ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, on_wire) in [(0, "192.0.2.2:80"), (1, "[2001:db8::2]:80")] {
        let to_web = format!("{}:80", address(&result, index));
        outside.assert_reaches_tcp(&to_web);
        peer.assert_reaches_tcp(on_wire);
        peer.assert_blocked_tcp(&to_web);
    }
}

/// IEEE 802.1Qbg: a switch that sends frames back where they came from.
#[test]
fn in_mode_vepa_containers_reach_each_other_if_the_switch_returns_frames() {
    let (host, outside) = wire();
    outside.shell(
        "ip link add switch up type bridge mcast_snooping 0; ip link set uplink master switch
         bridge link set dev uplink hairpin on",
    );
    let (web, peer) = (host.container("web"), host.container("peer"));
    let network = network(&host, &json!({"mode": "vepa", "ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    let _web = web.listen_tcp(80);
    for index in [0, 1] {
        peer.assert_reaches_tcp(&format!("{}:80", address(&result, index)));
    }
    outside.shell("bridge link set dev uplink hairpin off");
    for index in [0, 1] {
        peer.assert_blocked_tcp(&format!("{}:80", address(&result, index)));
    }
}

#[test]
fn routes_and_gateways_are_those_that_ipam_gave() {
    let (host, outside) = wire();
    outside.shell("ip addr add 203.0.113.7/32 dev lo; ip addr add 2001:db8:7::7/128 dev lo");
    let web = host.container("web");
    let result = network(&host, &json!({"ipam": of_the_wire()})).add(&web, "eth0").ok();
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
    let _outside = outside.listen_tcp(80);
    web.assert_reaches_tcp("203.0.113.7:80");
    web.assert_reaches_tcp("[2001:db8:7::7]:80");
}

#[test]
fn a_network_without_ipam_is_up_and_has_layer_two_only() {
    let (host, outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({}));
    for container in [&c1, &c2] {
        network.add(container, "eth0").ok();
        assert!(container.is_up("eth0"));
        assert_eq!(container.addresses("eth0"), [""; 0]);
    }
    c1.shell("ip addr add 192.0.2.50/24 dev eth0; ip addr add 2001:db8::50/64 dev eth0 nodad");
    c2.shell("ip addr add 192.0.2.51/24 dev eth0; ping -n -c1 -w5 192.0.2.50; ping -n -c1 -w5 192.0.2.2");
    outside.shell("ping -n -c1 -w5 2001:db8::50");
    network.check(&c1, "eth0").ok();
}

/// The first packet, at once.
#[test]
fn both_families_work_when_add_returns() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    for to in ["192.0.2.2:80", "[2001:db8::2]:80"] {
        web.connect_tcp(to).unwrap();
    }
    network.add(&peer, "eth0").ok();
    for index in [0, 1] {
        let to = format!("{}:80", address(&result, index));
        outside.connect_tcp(&to).unwrap();
        peer.connect_tcp(&to).unwrap();
    }
}

/// An address that was another container's a moment ago: everybody on the wire knows the new one's hardware address
/// before ADD returns, and nobody has to ask.
#[test]
fn neighbours_learn_at_once_who_has_an_address_now() {
    for detect in [false, true] {
        let (host, outside) = wire();
        let (old, new) = (host.container("old"), host.container("new"));
        let ips = json!({"ips": ["192.0.2.150/24", "2001:db8::150/64"]});
        let reused =
            network(&host, &json!({"enabledad": detect, "capabilities": {"ips": true}, "ipam": of_the_wire()}))
                .capabilities(&ips);
        let first = reused.add(&old, "eth0").ok();
        let assert_known = |mac: &str| {
            for ip in ["192.0.2.150", "2001:db8::150"] {
                let known = outside.run(["ip", "neigh", "show", ip]);
                assert!(known.contains(mac), "{ip} should be {mac}, not {known:?}");
            }
        };
        for ping in ["ping -n -c1 -w5 192.0.2.150", "ping -n -c1 -w5 2001:db8::150"] {
            outside.shell(ping);
        }
        assert_known(mac(&first));
        reused.del(&old, "eth0").ok();
        let capture = Capture::start(&outside, "announced", "-i uplink arp or icmp6");
        let second = reused.add(&new, "eth0").ok();
        assert_known(mac(&second));
        capture.assert_sees(&format!("{} > ff:ff:ff:ff:ff:ff.* 192.0.2.150", mac(&second)));
        capture.assert_sees(&format!(
            "{} > 33:33:00:00:00:01.*neighbor advertisement, tgt is 2001:db8::150",
            mac(&second)
        ));
    }
}

/// On a wire with strangers the kernel's default is kept: nobody uses an address that another host has.
#[test]
fn an_ipv6_address_that_somebody_on_the_wire_has_is_refused_unless_told_otherwise() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    outside.shell("ip addr add 2001:db8::100/64 dev uplink nodad");
    let mut keys = config(&json!({"ipam": of_the_wire()}));
    keys["ipam"]["ranges"][1][0]["rangeEnd"] = json!("2001:db8::100");
    let deaf = call(&host, "ADD", &c1, &keys).run();
    if !reference_differs("it cannot be told") {
        deaf.ok();
        call(&host, "DEL", &c1, &keys).run().ok();
    }
    keys.as_object_mut().unwrap().remove("enabledad");
    if reference_differs("it waits for ten seconds, and leaves its reservation behind") {
        return;
    }
    let error = host.assert_leaves_nothing(|| call(&host, "ADD", &c1, &keys).run().error());
    assert!(format!("{} {}", error.msg, error.details).contains("2001:db8::100"), "{error:?}");
    outside.shell("ip addr del 2001:db8::100/64 dev uplink");
    call(&host, "ADD", &c1, &keys).run().ok();
    let tentative = c1.ip_json(["-6", "address", "show", "dev", "eth0", "tentative"]).to_string();
    assert!(!tentative.contains("2001:db8::100"), "ADD waits for the outcome: {tentative}");
}

#[test]
fn a_parent_that_is_down_connects_once_it_is_up() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip link set uplink down");
    let network = network(&host, &json!({"ipam": ipv4()}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link set uplink up");
    let _outside = outside.listen_tcp(80);
    c1.assert_reaches_tcp("192.0.2.2:80");
}
