//! What leaves the network, and under which address.

use serde_json::{Value, json};
use tests::{Capture, Container, Host, Inside as _, reference_differs, wire};

use super::{dual_stack, ipam, network};

fn masquerading(backend: Option<&str>) -> Value {
    let mut keys = json!({"isDefaultGateway": true, "ipMasq": true, "ipam": dual_stack()});
    if let Some(backend) = backend {
        keys["ipMasqBackend"] = json!(backend);
    }
    keys
}

/// Where an outside host and a neighbour in the subnet see the container.
#[track_caller]
fn assert_masquerades(host: &Host, outside: &Host, container: &Container, peer: &Container) {
    let (_out, _in, _udp) = (outside.listen_tcp(80), peer.listen_tcp(80), outside.listen_udp(53));
    let _host = host.listen_tcp(8080);
    let seen = |to: &str| container.assert_reaches_tcp(to).ip().to_string();
    assert_eq!(seen("192.0.2.2:80"), "192.0.2.1");
    assert_eq!(seen("[2001:db8::2]:80"), "2001:db8::1");
    assert_eq!(container.assert_reaches_udp("192.0.2.2:53").ip().to_string(), "192.0.2.1");
    assert_eq!(seen("10.1.0.3:80"), "10.1.0.2");
    assert_eq!(seen("[fd00:1::3]:80"), "fd00:1::2");
    assert_eq!(seen("10.1.0.1:8080"), "10.1.0.2");
}

fn scene() -> (Host, Host, Container, Container) {
    let (host, outside) = wire();
    let (container, peer) = (host.container("c1"), host.container("peer"));
    (host, outside, container, peer)
}

#[test]
fn the_outside_sees_the_host_and_the_subnet_sees_the_container() {
    let (host, outside, container, peer) = scene();
    let network = network(&host, &masquerading(None));
    network.add(&container, "eth0").ok();
    network.add(&peer, "eth0").ok();
    assert_masquerades(&host, &outside, &container, &peer);
}

#[test]
fn without_ip_masq_the_outside_sees_the_container() {
    let (host, outside, container, _) = scene();
    network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()})).add(&container, "eth0").ok();
    outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip route add fd00:1::/64 via 2001:db8::1");
    let _server = outside.listen_tcp(80);
    assert_eq!(container.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "10.1.0.2");
    assert_eq!(container.assert_reaches_tcp("[2001:db8::2]:80").ip().to_string(), "fd00:1::2");
}

/// The host speaks in the container's name, since a host that routes multicast is more than a test needs: the rules look
/// at addresses alone.
#[test]
fn multicast_keeps_its_source() {
    let (host, outside, container, _) = scene();
    network(&host, &masquerading(None)).add(&container, "eth0").ok();
    let capture = Capture::start(&outside, "multicast", "-i uplink udp port 9999");
    let say = |group: &str| {
        host.shell(&format!(
            "echo hello | socat -u - UDP-SENDTO:{group}:9999,bind=10.1.0.2,ip-transparent,so-bindtodevice=uplink"
        ));
    };
    host.shell("ip route add 224.0.0.0/4 dev uplink");
    say("192.0.2.2");
    capture.assert_sees("192.0.2.1.[0-9]* > 192.0.2.2.9999");
    say("239.1.1.1");
    capture.assert_sees("10.1.0.2.[0-9]* > 239.1.1.1.9999");
}

#[test]
fn the_nftables_backend_has_one_labelled_element_for_each_address_and_no_rule() {
    let (host, _, container, peer) = scene();
    let network = network(&host, &masquerading(Some("nftables")));
    network.add(&container, "eth0").ok();
    let rules = || {
        let ruleset = host.nft_json(["list", "ruleset"]);
        ruleset["nftables"].as_array().unwrap().iter().filter(|object| object.get("rule").is_some()).count()
    };
    let before = rules();
    network.add(&peer, "eth0").ok();
    assert_eq!(rules(), before);
    for (map, address) in [("masquerade4", "10.1.0.2"), ("masquerade6", "fd00:1::2")] {
        let listed = host.run(["nft", "list", "map", "inet", "ferrocni", map]);
        let element = format!("{address} comment \"ferrocni:net/c1/eth0\"");
        assert!(listed.contains(&element), "{element} is not in {listed}");
    }
}

/// Whichever iptables the host's administrator uses, the rules work and go.
#[test]
fn the_iptables_backend_works_with_either_iptables() {
    for variant in ["nft", "legacy"] {
        let (host, outside, container, peer) = scene();
        // What a host is: one of the two, with rules of its own.
        host.shell(&format!("iptables-{variant} -t nat -N MINE; ip6tables-{variant} -t nat -N MINE"));
        let keys = if reference_differs("it knows no other backend") {
            masquerading(None)
        } else {
            masquerading(Some("iptables"))
        };
        let network = network(&host, &keys);
        let before = host.snapshot();
        network.add(&container, "eth0").ok();
        network.add(&peer, "eth0").ok();
        let ours = host.nft_json(["list", "tables"]).to_string();
        assert!(!ours.contains("ferrocni"), "{ours}");
        assert_masquerades(&host, &outside, &container, &peer);
        network.check(&container, "eth0").ok();
        for container in [&container, &peer] {
            network.del(container, "eth0").ok();
        }
        host.snapshot().assert_nothing_since(&before);
    }
}

/// They are found by names that stay when the interface has gone.
#[test]
fn a_del_that_failed_at_iptables_can_be_repeated() {
    let (host, _outside, container, _) = scene();
    host.shell("iptables -t nat -N MINE; ip6tables -t nat -N MINE");
    let network = network(&host, &masquerading(Some("iptables")));
    host.assert_leaves_nothing(|| {
        network.add(&container, "eth0").ok();
        host.shell("mkdir -p /run/empty; mount --bind /run/empty /usr/sbin");
        let error = network.del(&container, "eth0").error();
        host.shell("/bin/umount /usr/sbin; rmdir /run/empty");
        assert!(error.msg.contains("iptables"), "{error:?}");
        assert_eq!(container.links(), ["lo"]);
        network.del(&container, "eth0").ok();
    });
}

/// A container that is in the network twice keeps its masquerading when one interface goes, or fails to come.
#[test]
fn a_second_interface_in_the_network_takes_nothing_from_the_first() {
    let (host, outside, container, peer) = scene();
    let network = network(&host, &masquerading(None));
    network.add(&container, "eth0").ok();
    network.add(&peer, "eth0").ok();
    container.shell("ip link add eth2 type bridge");
    assert!(!network.add(&container, "eth2").is_ok());
    container.shell("ip link del eth2");
    network.add(&container, "eth1").ok();
    network.del(&container, "eth1").ok();
    network.check(&container, "eth0").ok();
    assert_masquerades(&host, &outside, &container, &peer);
}

#[test]
fn two_networks_with_the_same_subnet_s_neighbour_masquerade_each_for_itself() {
    let (host, outside, container, _) = scene();
    let second = host.container("second");
    network(&host, &masquerading(None)).add(&container, "eth0").ok();
    let mut other = super::config(&json!({"isDefaultGateway": true, "ipMasq": true, "ipam": ipam(&["10.2.0.0/24"])}));
    other["bridge"] = json!("br1");
    let other = host.chain(&json!({"name": "other", "plugins": [other]}));
    other.add(&second, "eth0").ok();
    let (_outside, _container) = (outside.listen_tcp(80), container.listen_tcp(80));
    assert_eq!(second.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
    assert_eq!(second.assert_reaches_tcp("10.1.0.2:80").ip().to_string(), "10.1.0.1", "another network is outside");
    other.del(&second, "eth0").ok();
    assert_eq!(container.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.1");
}
