//! DEL, CHECK, GC, STATUS, interruptions, and the reference in our place.

use serde_json::{Value, json};
use tests::{Host, Inside as _, reference_differs};

use super::{call, config, host, ipam, network};

const REFERENCE: &str = "/usr/lib/cni/vlan";

#[test]
fn del_frees_everything_when_master_or_namespace_are_gone() {
    let host = host();
    let before = host.snapshot();
    let network = network(&host, "net", &json!({}));
    let c1 = host.container("c1");
    network.add(&c1, "eth0").ok();
    let c1 = host.lose(c1);
    network.del(&c1, "eth0").ok();
    host.snapshot().assert_nothing_since(&before);

    let c2 = host.container("c2");
    network.add(&c2, "eth0").ok();
    host.shell("ip link del uplink");
    network.del(&c2, "eth0").ok();
    assert!(host.try_run(["sh", "-c", "ls /var/lib/cni/networks/net/[1f]*"]).stdout.is_empty());
}

/// The runtime cleans up after a failed ADD with a DEL.
#[test]
fn del_after_a_failed_add_leaves_another_network_s_interface() {
    let host = host();
    let c1 = host.container("c1");
    let (one, other) =
        (network(&host, "one", &json!({})), network(&host, "other", &json!({"vlanId": 5, "ipam": ipam(30)})));
    one.add(&c1, "eth0").ok();
    let error = one.add(&c1, "eth0").error();
    assert!(error.msg.contains("DEL"), "{error:?}");
    assert!(!other.add(&c1, "eth0").is_ok());
    other.del(&c1, "eth0").ok();
    one.check(&c1, "eth0").ok();
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let host = host();
    let c1 = host.container("c1");
    host.shell("ip link add other up type veth peer name wire2");
    let again = |master: &str, vlan: u16| {
        format!(
            "MAC=$(ip -n c1 -br link show eth0 | awk '{{print $3}}')
             ip -n c1 link del eth0; ip link add eth0 link {master} netns c1 address $MAC type vlan id {vlan}
             ip -n c1 addr add 10.1.0.10/24 dev eth0; ip -n c1 addr add fd00:1::10/64 dev eth0 nodad
             ip -n c1 link set eth0 up"
        )
    };
    let cases: [(String, &[&str], Option<&str>); 5] = [
        (again("uplink", 101), &["kind of interface eth0", "expected VLAN 100, found VLAN 101"], None),
        (
            again("other", 100),
            &["link under interface eth0", "expected uplink", "found other"],
            Some("it looks at no master"),
        ),
        ("ip -n c1 link set eth0 down".into(), &["state of interface eth0"], Some("it does not look at the state")),
        ("ip -n c1 addr del 10.1.0.10/24 dev eth0".into(), &["address of interface eth0", "10.1.0.10/24"], None),
        ("ip link del uplink".into(), &["eth0"], None),
    ];
    let addresses = json!([{"address": "10.1.0.10/24"}, {"address": "fd00:1::10/64"}]);
    let network = network(&host, "net", &json!({"ipam": {"type": "static", "addresses": addresses}}));
    for (harm, words, reference) in cases {
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        host.shell(&harm);
        if !reference.is_some_and(reference_differs) {
            let error = network.check(&c1, "eth0").error();
            let text = format!("{}: {}", error.msg, error.details);
            let told = words.iter().all(|word| text.contains(word));
            assert!(told || reference_differs("it has words of its own"), "{harm}: {text}");
        }
        if !harm.contains("del uplink") {
            network.del(&c1, "eth0").ok();
        }
    }
}

#[test]
fn gc_releases_the_addresses_of_vanished_containers_and_nothing_else() {
    let host = host();
    let stays = host.container("stays");
    let (network, other) =
        (network(&host, "net", &json!({})), network(&host, "other", &json!({"vlanId": 5, "ipam": ipam(30)})));
    other.add(&stays, "eth1").ok();
    let before = host.snapshot();
    let goes = host.container("goes");
    network.add(&goes, "eth0").ok();
    let _gone = host.lose(goes);
    network.gc(&[]).ok();
    host.snapshot().assert_nothing_since(&before);
    other.check(&stays, "eth1").ok();
}

#[test]
fn status_is_50_when_an_add_could_not_succeed() {
    let host = host();
    network(&host, "net", &json!({})).status().ok();
    host.shell("ip link add asleep type veth peer name bed");
    for (keys, code, words) in [
        (json!({"master": "nowhere"}), 50, "nowhere"),
        (json!({"master": "asleep"}), 50, "asleep"),
        (json!({"mtu": 9000}), 7, "9000"),
        (json!({"ipam": {"type": "missing"}}), 50, "missing"),
    ] {
        let error = host.assert_leaves_nothing(|| network(&host, "net", &keys).status()).error();
        assert!(error.code == code && error.msg.contains(words), "{keys}: {error:?}");
    }
}

#[test]
fn what_an_add_that_was_killed_left_goes_with_del() {
    let host = host();
    let c1 = host.container("c1");
    let mut config = config(&json!({}));
    config["name"] = json!("net");
    let before = host.snapshot();
    let killed = call(&host, "vlan", "ADD", &c1, &config).killed_at_every("sendto", |_point| {
        call(&host, "vlan", "DEL", &c1, &config).run().ok();
    });
    assert!(killed > 3, "{killed}");
    host.snapshot().assert_nothing_since(&before);
}

/// On a node whose containers run, either suite may take the other's place.
#[test]
fn the_reference_and_we_take_over_each_other_s_attachments() {
    let host = Host::new();
    let elsewhere = host.neighbour();
    let (c1, c2) = (host.container("c1"), elsewhere.container("c2"));
    let with_version = |first| {
        let mut config = config(&json!({"ipam": ipam(first)}));
        config["cniVersion"] = json!("1.0.0");
        config
    };
    for (here, there) in [(REFERENCE, "vlan"), ("vlan", REFERENCE)] {
        let add = |host, program, container, first| -> Value {
            let mut config = with_version(first);
            config["prevResult"] = call(host, program, "ADD", container, &config).run().ok();
            config
        };
        let (mine, theirs) = (add(&host, here, &c1, 10), add(&elsewhere, there, &c2, 50));
        for address in ["10.1.0.50", "fd00:1::50"] {
            c1.assert_pings(address);
        }
        for (host, container, config, other) in [(&host, &c1, &mine, there), (&elsewhere, &c2, &theirs, here)] {
            call(host, other, "CHECK", container, config).run().ok();
            call(host, other, "DEL", container, config).run().ok();
            assert_eq!(container.links(), ["lo"]);
        }
        for host in [&host, &elsewhere] {
            host.shell("rm -r /var/lib/cni/networks/test");
        }
    }
}
