//! `ingressPolicy`: who may open connections to whom.

use serde_json::{Value, json};
use tests::{Host, Inside, reference_differs, wire};

use super::{Attached, network};
use crate::networks::without_br_netfilter;

/// The index of `eth0`, which a link-local address needs.
fn eth0(place: &impl Inside) -> u32 {
    let links = place.ip_json(["link", "show", "dev", "eth0"]);
    links[0]["ifindex"].as_u64().and_then(|index| index.try_into().ok()).expect("an index")
}

/// Two networks with a policy each; see [`assert_talk`].
fn assert_talks(first: &str, second: &str, expected: [bool; 3]) {
    assert_talk(&json!({"ingressPolicy": first}), &json!({"ingressPolicy": second}), expected);
}

/// Two networks with these keys, two containers in the first, all of them serving on port 80: whether one of the first
/// reaches the other, whether the second network reaches the first, and the other way round.
pub(super) fn assert_talk(first: &Value, second: &Value, [within, into, out_of]: [bool; 3]) {
    let host = Host::new();
    let one = network(&host, 1, first, &[]);
    let two = network(&host, 2, second, &[]);
    let (a, b, c) = (Attached::to(&one, "a"), Attached::to(&one, "b"), Attached::to(&two, "c"));
    let _servers = [&a, &b, &c].map(|attached| attached.container.listen_tcp(80));
    for (from, to, expected) in [(&a, &b, within), (&c, &a, into), (&a, &c, out_of)] {
        for address in to.at(80) {
            host.assert_reaches_tcp(&address);
            eprintln!("{first} and {second}: {} to {address}, {expected}", from.container.id);
            if expected {
                from.container.assert_reaches_tcp(&address);
            } else {
                from.container.assert_blocked_tcp(&address);
            }
        }
    }
}

#[test]
fn networks_without_a_policy_are_open_to_each_other() {
    assert_talks("open", "open", [true, true, true]);
}

#[test]
fn networks_of_the_same_bridge_policy_are_closed_to_each_other() {
    assert_talks("same-bridge", "same-bridge", [true, false, false]);
}

#[test]
fn an_open_network_and_a_closed_one_are_as_before() {
    assert_talks("same-bridge", "open", [true, true, true]);
}

#[test]
fn isolated_containers_are_closed_to_each_other_too() {
    assert_talks("isolated", "same-bridge", [false, false, false]);
    assert_talks("isolated", "open", [false, true, true]);
}

/// Frames, too: within a bridge nothing is routed, and link-local addresses never are.
#[test]
fn isolation_within_a_bridge_does_not_depend_on_br_netfilter_or_on_known_addresses() {
    let host = Host::new();
    without_br_netfilter(&host);
    for (policy, open) in [("same-bridge", true), ("isolated", false)] {
        let number = if open { 1 } else { 2 };
        let network = network(&host, number, &json!({"ingressPolicy": policy}), &[]);
        let (a, b) = (Attached::to(&network, &format!("a{number}")), Attached::to(&network, &format!("b{number}")));
        let _server = b.container.listen_tcp(80);
        // An address that no plugin gave.
        for (attached, octet) in [(&a, 201), (&b, 202)] {
            attached.container.shell(&format!("ip addr add 10.{number}.0.{octet}/24 dev eth0"));
        }
        let of_link = b.link_local(eth0(&a.container));
        for to in [&b.at(80)[0], &b.at(80)[1], &of_link, &format!("10.{number}.0.202:80")] {
            if open {
                a.container.assert_reaches_tcp(to);
            } else {
                a.container.assert_blocked_tcp(to);
            }
        }
        host.assert_reaches_tcp(&b.at(80)[0]);
    }
}

#[test]
fn whoever_is_isolated_still_reaches_the_world_and_is_reached_by_the_host() {
    let (host, outside) = wire();
    let one = network(&host, 1, &json!({"ingressPolicy": "isolated"}), &[("tcp", 8080, 80)]);
    let web = Attached::to(&one, "web");
    let _servers = (web.container.listen_tcp(80), outside.listen_tcp(80), host.listen_tcp(9000));
    for (there, own, published) in [
        ("192.0.2.2:80", "10.1.0.1:9000", "192.0.2.1:8080"),
        ("[2001:db8::2]:80", "[fd00:1::1]:9000", "[2001:db8::1]:8080"),
    ] {
        web.container.assert_reaches_tcp(there);
        web.container.assert_reaches_tcp(own);
        outside.assert_reaches_tcp(published);
    }
    for to in web.at(80) {
        host.assert_reaches_tcp(&to);
    }
}

/// Publishing means it: through the host a port is reached from everywhere.
#[test]
fn a_published_port_of_a_closed_network_is_reached_from_another() {
    for policy in ["same-bridge", "isolated"] {
        if reference_differs("it closes published ports as well") {
            return;
        }
        let host = Host::new();
        let one = network(&host, 1, &json!({"ingressPolicy": policy}), &[("tcp", 8080, 80), ("udp", 8053, 53)]);
        let two = network(&host, 2, &json!({"ingressPolicy": policy}), &[]);
        let (web, stranger) = (Attached::to(&one, "web"), Attached::to(&two, "stranger"));
        let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53));
        for gateway in ["10.2.0.1", "[fd00:2::1]"] {
            stranger.container.assert_reaches_tcp(&format!("{gateway}:8080"));
            stranger.container.assert_reaches_udp(&format!("{gateway}:8053"));
        }
        web.at(80).iter().for_each(|to| stranger.container.assert_blocked_tcp(to));
    }
}

/// Its neighbour may use the port as well, through the host.
#[test]
fn a_published_port_of_an_isolated_container_is_reached_by_its_neighbour() {
    let host = Host::new();
    without_br_netfilter(&host);
    let one = network(&host, 1, &json!({"ingressPolicy": "isolated"}), &[("tcp", 8080, 80)]);
    let two = network(&host, 1, &json!({"ingressPolicy": "isolated"}), &[]);
    let (web, peer) = (Attached::to(&one, "web"), Attached::to(&two, "peer"));
    let _server = web.container.listen_tcp(80);
    for gateway in ["10.1.0.1", "[fd00:1::1]"] {
        peer.container.assert_reaches_tcp(&format!("{gateway}:8080"));
    }
    web.at(80).iter().for_each(|to| peer.container.assert_blocked_tcp(to));
}

#[test]
fn isolation_goes_with_the_last_container() {
    for policy in ["same-bridge", "isolated"] {
        let host = Host::new();
        let one = network(&host, 1, &json!({"ingressPolicy": policy}), &[]);
        let bridges = || host.run(["nft", "list", "set", "inet", "ferrocni", "isolated_bridges"]).contains("br1");
        host.assert_leaves_nothing(|| {
            let (a, b) = (host.container("a"), host.container("b"));
            one.add(&a, "eth0").ok();
            one.add(&b, "eth0").ok();
            one.del(&a, "eth0").ok();
            assert!(bridges());
            one.del(&b, "eth0").ok();
            assert!(!bridges());
            for container in [a, b] {
                drop(host.lose(container));
            }
        });
    }
}

#[test]
fn a_policy_needs_a_bridge() {
    let host = Host::new();
    let config = json!({
        "name": "net1", "type": "firewall", "ingressPolicy": "isolated",
        "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"interface": 0, "address": "10.1.0.2/24"}]}
    });
    let error = host.cni("firewall").command("ADD").container_id("c").netns("/run/netns/x").ifname("eth0");
    let error = error.config(&config).run().error();
    assert_eq!(error.code, 7);
    assert!(error.msg.contains("chain this plugin after bridge"), "{error:?}");
}
