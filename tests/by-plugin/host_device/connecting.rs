//! The device in the container.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, address, every_verb_runs_alone, reference_differs};

use super::{addresses, assert_comes_back, call, config, network, plug_in, scene};

#[test]
fn the_device_is_in_the_container_under_the_interface_s_name() {
    let (host, c1) = scene();
    let result = network(&host, &json!({})).add(&c1, "net1").ok();
    assert!(!host.links().contains(&"nic0".to_owned()));
    assert_eq!(c1.links(), ["lo", "net1"]);
    let device = c1.link("net1");
    assert_eq!((&device["address"], c1.is_up("net1")), (&json!("02:00:00:00:aa:01"), true));
    let alias = if reference_differs("it writes the name and no more") { "nic0" } else { "ferrocni:net/c1/net1/nic0" };
    assert_eq!(device["ifalias"], alias);
    let mut expected = json!([{"name": "net1", "mac": "02:00:00:00:aa:01", "mtu": 1500, "sandbox": c1.netns}]);
    if reference_differs("it reports no MTU") {
        expected[0].as_object_mut().unwrap().remove("mtu");
    }
    assert_eq!(result["interfaces"], expected);
    assert_eq!(result.get("ips"), None);
}

#[test]
fn the_container_reaches_what_is_beyond_the_device() {
    let (host, c1) = scene();
    host.shell("ip addr add 192.0.2.7/32 dev lo; ip addr add 2001:db8::7/128 dev lo");
    let result = network(&host, &addresses()).add(&c1, "eth0").ok();
    assert_eq!(
        result["ips"],
        json!([
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 0}
        ])
    );
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    let (_host, _inside) = (host.listen_tcp(80), c1.listen_tcp(80));
    for to in ["10.1.0.1:80", "[fd00:1::1]:80", "192.0.2.7:80", "[2001:db8::7]:80"] {
        c1.assert_reaches_tcp(to);
    }
    for index in [0, 1] {
        host.assert_reaches_tcp(&format!("{}:80", address(&result, index)));
    }
}

#[test]
fn the_network_s_dns_is_reported() {
    let (host, c1) = scene();
    let dns = json!({"nameservers": ["10.1.0.1"], "search": ["a.test"]});
    let mut keys = addresses();
    keys["dns"] = dns.clone();
    assert_eq!(network(&host, &keys).add(&c1, "eth0").ok()["dns"], dns);
}

/// A cable that is not plugged in, or a switch that takes its time.
#[test]
fn a_device_without_carrier_is_connected_all_the_same() {
    let (host, c1) = scene();
    host.shell("ip link set wire down");
    network(&host, &addresses()).add(&c1, "eth0").ok();
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    // The kernel has taken this one away.
    host.shell("ip link set wire up; ip addr add fd00:1::1/64 dev wire nodad");
    let _server = c1.listen_tcp(80);
    host.assert_reaches_tcp("10.1.0.2:80");
    host.assert_reaches_tcp("[fd00:1::2]:80");
}

/// The same with an address that somebody may have: the kernel looks for others once there is a wire.
#[test]
fn a_device_without_carrier_does_not_wait_for_who_cannot_answer() {
    let (host, c1) = scene();
    host.shell("ip link set wire down");
    let mut keys = addresses();
    keys["enabledad"] = json!(true);
    network(&host, &keys).add(&c1, "eth0").ok();
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
}

/// On a wire with strangers the kernel's default is kept: nobody uses an address that another host has.
#[test]
fn an_ipv6_address_that_somebody_on_the_wire_has_is_refused_unless_told_otherwise() {
    let (host, c1) = scene();
    host.shell("ip addr add fd00:1::a/64 dev wire nodad");
    let mut keys = json!({"ipam": {"type": "static", "addresses": [{"address": "fd00:1::a/64"}]}});
    if !reference_differs("it cannot be told") {
        network(&host, &keys).add(&c1, "eth0").ok();
        network(&host, &keys).del(&c1, "eth0").ok();
    }
    keys["enabledad"] = json!(null);
    if reference_differs("it leaves the address in place, as a duplicate that is not used") {
        network(&host, &keys).add(&c1, "eth0").ok();
        c1.shell("until ip -6 address show dev eth0 dadfailed | grep -q fd00:1::a; do sleep 0.05; done");
        return;
    }
    let error = assert_comes_back(&host, || network(&host, &keys).add(&c1, "eth0").error());
    assert!(format!("{} {}", error.msg, error.details).contains("fd00:1::a"), "{error:?}");
    host.shell("ip addr del fd00:1::a/64 dev wire");
    network(&host, &keys).add(&c1, "eth0").ok();
    let tentative = c1.ip_json(["-6", "address", "show", "dev", "eth0", "tentative"]).to_string();
    assert!(!tentative.contains("fd00:1::a"), "ADD waits for the outcome: {tentative}");
}

/// The host calls its device as the container calls another one of its own.
#[test]
fn names_may_clash_between_host_and_container() {
    for ifname in ["net1", "wire"] {
        let (host, c1) = scene();
        host.shell("ip link set nic0 name eth0");
        c1.shell("ip link add eth0 type veth peer name other");
        let network = network(&host, &json!({"device": "eth0"}));
        host.assert_leaves_nothing(|| {
            network.add(&c1, ifname).ok();
            assert_eq!(c1.link(ifname)["ifalias"], format!("ferrocni:net/c1/{ifname}/eth0"));
            network.del(&c1, ifname).ok();
        });
    }
}

#[test]
fn the_interface_may_be_called_as_the_device_is() {
    let (host, c1) = scene();
    let network = network(&host, &json!({}));
    assert_comes_back(&host, || {
        network.add(&c1, "nic0").ok();
        network.check(&c1, "nic0").ok();
        network.del(&c1, "nic0").ok();
    });
}

/// Moving a device makes the kernel forget its addresses: what can be seen to be wrong is seen before.
#[test]
fn an_add_that_cannot_succeed_leaves_the_device_as_it_is() {
    let (host, c1) = scene();
    host.shell("ip link set nic0 up alias uplink; ip addr add 10.9.0.1/24 dev nic0");
    c1.shell("ip link add eth0 type veth peer name other");
    host.assert_leaves_nothing(|| {
        let taken = network(&host, &json!({})).add(&c1, "eth0").error();
        assert!(taken.msg.contains("eth0 already"), "{taken:?}");
        let no_ipam = network(&host, &json!({"ipam": {"type": "no-such"}})).add(&c1, "eth1").error();
        assert!(no_ipam.msg.contains("no-such is not in CNI_PATH"), "{no_ipam:?}");
        let no_netns = call(&host, "ADD", &c1, &config(&json!({}))).netns("/run/netns/none").run().error();
        assert_eq!(no_netns.code, 4, "{no_netns:?}");
    });
}

#[test]
fn an_add_without_an_address_gives_the_device_back_up_if_it_was() {
    for state in ["up", "down"] {
        let (host, c1) = scene();
        host.shell(&format!("ip link set nic0 {state}"));
        let mut keys = addresses();
        keys["ipam"]["ranges"] = json!([[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"}]]);
        let the_only_address = json!({"type": "host-local", "name": "net", "ipam": keys["ipam"]});
        host.cni("host-local").command("ADD").container(&host.container("c2")).config(&the_only_address).run().ok();
        host.assert_leaves_nothing(|| {
            let error = network(&host, &keys).add(&c1, "eth0").error();
            assert!(format!("{error:?}").contains("10.1.0.9"), "{error:?}");
        });
    }
}

#[test]
fn a_second_add_of_the_same_attachment_fails_and_harms_nothing() {
    let (host, c1) = scene();
    let network = network(&host, &json!({}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link add nic0 type veth peer name wire2");
    if reference_differs("the second one is lost in the container") {
        return;
    }
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(error.msg.contains("run DEL first"), "{error:?}");
    network.check(&c1, "eth0").ok();
}

#[test]
fn links_that_cannot_be_moved_are_named_and_stay() {
    let (host, c1) = scene();
    host.shell("ip link add br0 up type bridge; ip link set br0 alias lan");
    let error = host.assert_leaves_nothing(|| network(&host, &json!({"device": "br0"})).add(&c1, "eth0").error());
    assert!(error.msg.contains("device br0 cannot be moved"), "{error:?}");
}

/// An alias has 255 bytes, and the mark has to fit.
#[test]
fn a_mark_that_does_not_fit_is_an_error_before_anything_changes() {
    let (host, c1) = scene();
    let long = "n".repeat(250 - "ferrocni:/c1/eth0".len());
    let add = |name: &str| {
        let mut config = config(&json!({}));
        config["name"] = json!(name);
        call(&host, "ADD", &c1, &config).run()
    };
    let error = host.assert_leaves_nothing(|| add(&format!("{long}n")).error());
    assert!(error.code == 4 && error.msg.contains("nic0") && error.msg.contains("256"), "{error:?}");
    add(&long).ok();
    assert_eq!(c1.link("eth0")["ifalias"].as_str().unwrap().len(), 255);
}

#[test]
fn each_of_many_devices_goes_to_its_container() {
    let host = Host::new();
    let containers: Vec<Container> = (0..12).map(|i| host.container(&format!("c{i}"))).collect();
    host.shell("for i in $(seq 0 11); do ip link add nic$i type veth peer name wire$i; done");
    let run = |verb: &'static str| -> Vec<Value> {
        let one = |i: usize, container: &Container| {
            call(&host, verb, container, &config(&json!({"device": format!("nic{i}")}))).run().ok()
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                containers.iter().enumerate().map(|(i, container)| scope.spawn(move || one(i, container))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    assert_comes_back(&host, || {
        let macs: BTreeSet<_> = run("ADD").iter().map(|reply| reply["interfaces"][0]["mac"].to_string()).collect();
        assert_eq!(macs.len(), 12);
        run("DEL");
    });
}

/// Two pods that were promised the same device: one gets it, the others are told, and their DELs take it from nobody.
#[test]
fn a_device_that_many_want_goes_to_one() {
    let host = Host::new();
    plug_in(&host);
    let containers: Vec<Container> = (0..8).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network(&host, &json!({}));
    for _ in 0..5 {
        let before = host.snapshot();
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = containers.iter().map(|c| scope.spawn(|| network.add(c, "eth0"))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..8).filter(|i| outcomes[*i].is_ok()).collect();
        assert_eq!(winners.len(), 1);
        for (i, outcome) in outcomes.into_iter().enumerate().filter(|(i, _)| *i != winners[0]) {
            let error = outcome.error();
            assert!(error.msg.contains("nic0 is not on this host"), "{error:?}");
            network.del(&containers[i], "eth0").ok();
        }
        network.check(&containers[winners[0]], "eth0").ok();
        network.del(&containers[winners[0]], "eth0").ok();
        host.snapshot().assert_nothing_since(&before);
    }
}

/// The kernel moves a device first and renames it then. It takes the second byte of à for a space (`dev_valid_name`,
/// net/core/dev.c), which is no space in UTF-8 and so not known to be wrong before.
#[test]
fn a_device_that_is_moved_and_cannot_be_renamed_comes_back() {
    let (host, c1) = scene();
    host.shell("ip link set nic0 up alias uplink");
    let _ = host.assert_leaves_nothing(|| network(&host, &json!({})).add(&c1, "à").error());
}

/// The same for two devices and one name.
#[test]
fn a_name_that_two_devices_want_goes_to_one() {
    let (host, c1) = scene();
    host.shell(
        "ip link add nic1 type veth peer name wire1; ip link set nic0 alias first; ip link set nic1 alias second",
    );
    let network =
        |i: usize| json!({"name": format!("net{i}"), "plugins": [config(&json!({"device": format!("nic{i}")}))]});
    let networks = [0, 1].map(|i| host.chain(&network(i)));
    for _ in 0..10 {
        let before = host.snapshot();
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = networks.iter().map(|network| scope.spawn(|| network.add(&c1, "eth0"))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..2).filter(|i| outcomes[*i].is_ok()).collect();
        assert_eq!(winners.len(), 1);
        let (winner, loser) = (winners[0], 1 - winners[0]);
        assert!(host.links().contains(&format!("nic{loser}")), "it has come back at once");
        networks[loser].del(&c1, "eth0").ok();
        networks[winner].check(&c1, "eth0").ok();
        networks[winner].del(&c1, "eth0").ok();
        host.snapshot().assert_nothing_since(&before);
    }
}

#[test]
fn no_verb_starts_another_program() {
    let (host, c1) = scene();
    every_verb_runs_alone(&config(&addresses()), |verb, config| call(&host, verb, &c1, config));
}
