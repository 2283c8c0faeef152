//! Hosts whose iptables drop what they forward: Docker sets the policy of FORWARD so, and several distributions end the chain
//! with a REJECT. A packet has to pass both iptables there are.

use serde_json::json;
use tests::{Host, Inside as _, every_plugin_rules, reference_differs, wire};

use super::{Attached, network};

const DROPPING: [(&str, &str); 5] = [
    ("nft drops", "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP"),
    ("legacy drops", "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP"),
    ("both drop", "for i in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do $i -P FORWARD DROP; done"),
    (
        "nft rejects",
        "iptables-nft -A FORWARD -j REJECT --reject-with icmp-host-prohibited
         ip6tables-nft -A FORWARD -j REJECT",
    ),
    ("legacy rejects", "iptables-legacy -A FORWARD -j REJECT; ip6tables-legacy -A FORWARD -j REJECT"),
];

#[test]
fn containers_talk_and_serve_where_iptables_would_drop() {
    for (name, command) in DROPPING {
        if name != "nft drops" && reference_differs("it knows but one iptables") {
            continue;
        }
        eprintln!("{name}");
        let (host, outside) = wire();
        outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip -6 route add fd00:1::/64 via 2001:db8::1");
        host.shell(command);
        let one = network(&host, 1, &json!({}), &[("tcp", 8080, 80), ("udp", 8053, 53)]);
        host.assert_leaves_nothing(|| {
            let (web, peer) = (Attached::to(&one, "web"), host.container("peer"));
            let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53), outside.listen_tcp(80));
            web.container.assert_reaches_tcp("192.0.2.2:80");
            web.container.assert_reaches_tcp("[2001:db8::2]:80");
            if !reference_differs("its published ports are dead where FORWARD drops") {
                for published in ["192.0.2.1", "[2001:db8::1]"] {
                    outside.assert_reaches_tcp(&format!("{published}:8080"));
                    outside.assert_reaches_udp(&format!("{published}:8053"));
                }
                host.assert_reaches_tcp("127.0.0.1:8080");
                one.check(&web.container, "eth0").ok();
            }
            for to in web.at(80) {
                host.assert_reaches_tcp(&to);
                outside.assert_blocked_tcp(&to);
            }
            one.del(&web.container, "eth0").ok();
            drop(host.lose(web.container));
            host.run(["ip", "netns", "del", &peer.id]);
        });
    }
}

#[test]
fn the_rules_of_every_plugin_hold_there_too() {
    let host = Host::new();
    host.shell(DROPPING[0].1);
    let container = host.container("c");
    every_plugin_rules(&network(&host, 1, &json!({}), &[]), &container, "eth0");
    if reference_differs("it knows but one iptables") {
        return;
    }
    host.shell(DROPPING[2].1);
    every_plugin_rules(&network(&host, 2, &json!({}), &[]), &container, "eth0");
}

#[test]
fn a_policy_switched_on_after_add_fails_check() {
    for (name, command) in DROPPING {
        let host = Host::new();
        let one = network(&host, 1, &json!({}), &[]);
        let web = Attached::to(&one, "web");
        one.check(&web.container, "eth0").ok();
        host.shell(command);
        let error = one.check(&web.container, "eth0").error();
        assert!(error.msg.contains("-A FORWARD"), "{name}: {error:?}");
        one.del(&web.container, "eth0").ok();
        let again = Attached::to(&one, "again");
        one.check(&again.container, "eth0").ok();
    }
}

/// It may be about others. An ADD gets its container past it all the same.
#[test]
fn a_rule_about_some_packets_that_came_after_add_does_not_fail_check() {
    for variant in ["nft", "legacy"] {
        let host = Host::new();
        let one = network(&host, 1, &json!({}), &[]);
        let web = Attached::to(&one, "web");
        let rule = "FORWARD -s 198.51.100.7/32 -j";
        host.shell(&format!("iptables-{variant} -A {rule} DROP; ip6tables-{variant} -A FORWARD -p tcp -j REJECT"));
        one.check(&web.container, "eth0").ok();
        let later = Attached::to(&one, "later");
        assert!(host.shell(&format!("iptables-{variant} -S FORWARD")).contains("CNI-FORWARD"), "{variant}");
        one.check(&later.container, "eth0").ok();
    }
}

#[test]
fn isolation_holds_where_iptables_would_drop() {
    let host = Host::new();
    host.shell(DROPPING[2].1);
    let keys = json!({"ingressPolicy": "isolated"});
    let (one, two) = (network(&host, 1, &keys, &[("tcp", 8080, 80)]), network(&host, 2, &keys, &[]));
    let (web, stranger) = (Attached::to(&one, "web"), Attached::to(&two, "stranger"));
    let _server = web.container.listen_tcp(80);
    for to in web.at(80) {
        host.assert_reaches_tcp(&to);
        stranger.container.assert_blocked_tcp(&to);
    }
    stranger.container.assert_reaches_tcp("10.2.0.1:8080");
}

/// Most hosts: nobody else filters what is forwarded.
#[test]
fn in_the_steady_state_it_runs_nobody() {
    let host = Host::new();
    // Rules that are there, but do not drop.
    host.shell("iptables -N X; iptables -A FORWARD -j X; iptables -A X -d 192.0.2.9 -j DROP; ip6tables -N X");
    let keys = json!({"ingressPolicy": "isolated"});
    let one = network(&host, 1, &keys, &[]);
    let _first = Attached::to(&one, "first");
    let container = host.container("c");
    let add = one.add_all_but_last(&container, "eth0");
    let strace = ["strace", "-f", "-qqq", "-o", "/run/trace", "-e", "trace=execve"];
    let runs = || host.read("/run/trace").unwrap().lines().filter(|line| line.contains("execve(")).count();
    let mut config = json!({"name": "net1", "type": "firewall", "ingressPolicy": "isolated"});
    config["prevResult"] = add.run_under(&strace).ok();
    assert_eq!(runs(), 1, "{}", host.read("/run/trace").unwrap());
    for verb in ["CHECK", "DEL"] {
        host.cni("firewall").command(verb).container(&container).config(&config).run_under(&strace).ok();
        assert_eq!(runs(), 1, "{verb}: {}", host.read("/run/trace").unwrap());
    }
}

/// The rules that an administrator wrote for the reference hold after the plugins were replaced.
#[test]
fn the_administrator_s_rules_in_iptables_are_obeyed() {
    let (host, outside) = wire();
    let _servers = (outside.listen_tcp(80), outside.listen_tcp(81));
    let one = network(&host, 1, &json!({"backend": ""}), &[]);
    host.shell("iptables-nft -N CNI-ADMIN; iptables-nft -A CNI-ADMIN -p tcp --dport 81 -j REJECT");
    host.assert_leaves_nothing(|| {
        let web = Attached::to(&one, "web");
        web.container.assert_reaches_tcp("192.0.2.2:80");
        web.container.assert_blocked_tcp("192.0.2.2:81");
        one.check(&web.container, "eth0").ok();
        one.del(&web.container, "eth0").ok();
        drop(host.lose(web.container));
    });
}
