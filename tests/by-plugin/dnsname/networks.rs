//! Names on every kind of network, and on several of them.

use serde_json::{Value, json};
use tests::{Host, Inside as _, example, names, of_the_wire, wire};

use super::{assert_finds, attach, container, dnsname, with_names};
use crate::networks::bridged;

/// An example's interface plugin, and names.
fn example_with_names(name: &str) -> Value {
    let mut network = example(name);
    network["plugins"].as_array_mut().unwrap().truncate(1);
    network["plugins"].as_array_mut().unwrap().push(dnsname(&json!({})));
    network
}

#[test]
fn names_are_known_without_a_bridge_of_the_host() {
    let (host, _outside) = wire();
    host.shell("ip route add default via 192.0.2.2");
    let mut macvlan = example_with_names("macvlan");
    macvlan["plugins"][0]["ipam"] = of_the_wire();
    let found = [
        (example_with_names("ptp"), "10.210.16.2", "fd00:210:16::2"),
        (example_with_names("internal"), "10.210.4.2", "fd00:210:4::2"),
        (macvlan, "192.0.2.100", "2001:db8::100"),
    ];
    for (network, v4, v6) in found {
        eprintln!("{}", network["name"]);
        let web = host.container("web");
        let added = attach(&host, &network, &web, "eth0", "web");
        let peer = container(&host, &network, "peer");
        let (own_v4, own_v6) = (tests::address(&added, 0), tests::address(&added, 1));
        let own_v6 = own_v6.trim_matches(['[', ']']);
        assert_eq!((own_v4.as_str(), own_v6), (v4, v6));
        assert_finds(&peer, &["web"], &[&own_v4, own_v6]);
        for name in ["web", "peer"] {
            super::call(&host, &network, name).del(if name == "web" { &web } else { &peer }, "eth0").ok();
            host.run(["ip", "netns", "del", name]);
        }
    }
}

#[test]
fn a_container_sees_the_names_of_its_own_networks_only() {
    let host = Host::new();
    let (one, two, three) = (with_names(1), with_names(2), with_names(3));
    let (db1, db2, _db3) =
        (container(&host, &one, "db1"), container(&host, &two, "db2"), container(&host, &three, "db3"));
    let both = container(&host, &one, "both");
    attach(&host, &two, &both, "eth1", "both");
    assert_finds(&both, &["db1"], &["10.1.0.2", "fd00:1::2"]);
    assert_finds(&both, &["db2"], &["10.2.0.2", "fd00:2::2"]);
    assert_finds(&both, &["db3", "db3.net3", "db3.dns.podman"], &[]);
    assert_finds(&db1, &["both", "both.net1"], &["10.1.0.3", "fd00:1::3"]);
    assert_finds(&db2, &["both"], &["10.2.0.3", "fd00:2::3"]);
    assert_finds(&db1, &["db2", "db3", "both.net2"], &[]);
}

/// The way to the server goes with the last of a container's networks.
#[test]
fn a_network_is_left_and_the_others_names_are_still_found() {
    let host = Host::new();
    let (one, two) = (with_names(1), with_names(2));
    let both = container(&host, &one, "both");
    attach(&host, &two, &both, "eth1", "both");
    let (_db1, _db2) = (container(&host, &one, "db1"), container(&host, &two, "db2"));
    super::call(&host, &one, "both").del(&both, "eth0").ok();
    assert_finds(&both, &["db1"], &[]);
    assert_finds(&both, &["db2"], &["10.2.0.3", "fd00:2::3"]);
    super::call(&host, &two, "both").del(&both, "eth1").ok();
    assert!(!names::is_answered(&both));
    assert!(!both.run(["nft", "list", "tables"]).contains("ferrocni_dns"));
}

#[test]
fn a_network_of_one_family_has_names_in_that() {
    let host = Host::new();
    for (number, range, address) in [(1, "10.1.0.0/24", "10.1.0.2"), (2, "fd00:2::/64", "fd00:2::2")] {
        let mut network = bridged(number, &[dnsname(&json!({}))]);
        network["plugins"][0]["ipam"]["ranges"] = json!([[{"subnet": range}]]);
        let (web, peer) = (format!("web{number}"), format!("peer{number}"));
        let _web = container(&host, &network, &web);
        let peer = container(&host, &network, &peer);
        assert_finds(&peer, &[&web], &[address]);
    }
}

/// An address that nobody has yet is no reason to do without the others' names.
#[test]
fn a_container_without_an_address_finds_the_others() {
    let host = Host::new();
    let network = with_names(1);
    let _web = container(&host, &network, "web");
    let mut without = network.clone();
    without["plugins"][0].as_object_mut().unwrap().remove("ipam");
    without["plugins"][0]["isDefaultGateway"] = json!(false);
    without["plugins"][0]["ipMasq"] = json!(false);
    let watcher = container(&host, &without, "watcher");
    assert_finds(&watcher, &["web"], &["10.1.0.2", "fd00:1::2"]);
    assert_finds(&watcher, &["watcher"], &[]);
}
