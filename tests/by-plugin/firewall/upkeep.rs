//! The administrator's chain, CHECK, DEL, GC and STATUS.

use serde_json::{Value, json};
use tests::{Host, Inside as _, every_plugin_rules, reference_differs, wire};

use super::{Attached, network};
use crate::networks::{bridged, firewall};

const REFERENCE: &str = "/usr/lib/cni/firewall";
/// A firewall without a container or a bridge: it only needs to be told the address.
fn told(network: &str, address: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": network, "type": "firewall",
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "br9"}, {"name": "veth9"}, {"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"interface": 2, "address": address}]
        }
    })
}

fn call(host: &Host, verb: &str, id: &str, config: &Value) -> tests::Outcome {
    host.cni("firewall").command(verb).container_id(id).netns("/run/netns/x").ifname("eth0").config(config).run()
}

#[test]
fn the_administrator_s_rules_come_first_and_stay() {
    let (host, outside) = wire();
    let one = network(&host, 1, &json!({}), &[("tcp", 8080, 80)]);
    let (web, other) = (Attached::to(&one, "web"), host.container("other"));
    let _servers = (web.container.listen_tcp(80), outside.listen_tcp(80), outside.listen_tcp(81));
    outside.assert_reaches_tcp("192.0.2.1:8080");
    for rule in [
        "ip saddr 192.0.2.2 tcp dport 80 drop",
        "ip6 saddr 2001:db8::2 tcp dport 80 drop",
        "ip saddr 10.1.0.0/24 tcp dport 80 reject",
    ] {
        host.shell(&format!("nft add rule inet ferrocni admin {rule}"));
    }
    let obeyed = || {
        outside.assert_blocked_tcp("192.0.2.1:8080");
        outside.assert_blocked_tcp("[2001:db8::1]:8080");
        web.container.assert_blocked_tcp("192.0.2.2:80");
        web.container.assert_reaches_tcp("192.0.2.2:81");
    };
    obeyed();
    host.assert_leaves_nothing(|| {
        let two = network(&host, 1, &json!({"ingressPolicy": "isolated"}), &[]);
        two.add(&other, "eth0").ok();
        two.del(&other, "eth0").ok();
    });
    one.check(&web.container, "eth0").ok();
    obeyed();
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let container = host.container("c");
    every_plugin_rules(&network(&host, 1, &json!({}), &[]), &container, "eth0");
    if reference_differs("it never removes a network's isolation") {
        return;
    }
    for policy in ["same-bridge", "isolated"] {
        every_plugin_rules(&network(&host, 2, &json!({"ingressPolicy": policy}), &[]), &container, "eth0");
    }
}

#[test]
fn killed_at_any_change_it_leaves_nothing_after_del() {
    let host = Host::new();
    let container = host.container("c");
    let keys = json!({"ingressPolicy": "isolated", "unpublishedPorts": "closed"});
    let last = network(&host, 1, &keys, &[]).add_all_but_last(&container, "eth0");
    let before = host.snapshot();
    let killed = last.killed_at_every_change(|point| {
        call(&host, "DEL", "c", &json!({"name": "net1", "type": "firewall"})).ok();
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.is_empty(), "killed at {point}: {leftovers:?}");
    });
    assert!(killed >= 3, "killed {killed} times only");
}

#[test]
fn check_names_what_is_missing() {
    let host = Host::new();
    let mut conflist = bridged(1, &[firewall(&json!({"ingressPolicy": "isolated"}))]);
    // Whose CHECK has then nothing to say about the packet filter.
    conflist["plugins"][0]["ipMasq"] = json!(false);
    let one = host.chain(&conflist);
    for (damage, words) in [
        ("delete element inet ferrocni members4 { ADDRESS }", "firewall of 10.1.0."),
        ("delete element inet ferrocni isolated4 { ADDRESS }", "on br1"),
        ("flush set bridge ferrocni isolated_ports", "isolation of bridge port"),
        ("flush set inet ferrocni isolated_bridges", "isolated_bridges"),
        ("flush chain inet ferrocni to-br1", "to-br1: expected"),
        ("flush chain inet ferrocni isolation", "isolation: expected"),
        ("flush chain inet ferrocni forward", "forward: expected"),
        ("flush chain bridge ferrocni forward", "forward: expected"),
        ("delete table bridge ferrocni", "isolation of bridge port"),
        ("flush ruleset", "firewall of 10.1.0."),
    ] {
        eprintln!("{damage}");
        let web = Attached::to(&one, "web");
        one.check(&web.container, "eth0").ok();
        host.run(["nft", &damage.replace("ADDRESS", &web.v4)]);
        let error = one.check(&web.container, "eth0").error();
        assert!(error.msg.contains(words), "{damage}: {error:?}");
        one.del(&web.container, "eth0").ok();
        host.run(["ip", "netns", "del", "web"]);
        host.run(["nft", "flush", "ruleset"]);
    }
}

#[test]
fn after_a_flush_the_next_add_rebuilds_the_ruleset() {
    let host = Host::new();
    let keys = json!({"ingressPolicy": "isolated"});
    let (one, two) = (network(&host, 1, &keys, &[]), network(&host, 2, &keys, &[]));
    let _lost = Attached::to(&one, "lost");
    host.run(["nft", "flush", "ruleset"]);
    let (a, b, c) = (Attached::to(&one, "a"), Attached::to(&one, "b"), Attached::to(&two, "c"));
    let _server = a.container.listen_tcp(80);
    for to in a.at(80) {
        host.assert_reaches_tcp(&to);
        b.container.assert_blocked_tcp(&to);
        c.container.assert_blocked_tcp(&to);
    }
}

/// The rules in iptables and firewalld name an address and no container.
#[test]
fn del_does_not_touch_who_has_the_address_by_now() {
    for backend in ["nftables", "iptables"] {
        let host = Host::new();
        host.shell("ip link add br9 type bridge; ip link add veth9 master br9 type veth peer name other");
        let with = |mut config: Value| {
            config["backend"] = json!(backend);
            config["ingressPolicy"] = json!("same-bridge");
            config
        };
        let (old, new) = (with(told("net1", "10.1.0.2/24")), with(told("net2", "10.1.0.2/24")));
        call(&host, "ADD", "new", &new).ok();
        let new_alone = host.snapshot();
        call(&host, "DEL", "new", &new).ok();
        call(&host, "ADD", "old", &old).ok();
        // The address is given again without a DEL.
        call(&host, "ADD", "new", &new).ok();
        let blind = json!({"name": "net1", "type": "firewall", "backend": backend});
        for config in [&blind, &old] {
            call(&host, "DEL", "old", config).ok();
            host.snapshot().assert_nothing_since(&new_alone);
            call(&host, "CHECK", "new", &new).ok();
        }
        call(&host, "DEL", "new", &new).ok();
        let left = host.run(["nft", "list", "ruleset"]) + &host.run(["iptables-save"]);
        assert!(!left.contains("10.1.0.2"), "{backend}: {left}");
    }
}

#[test]
fn gc_takes_stale_attachments_of_its_own_network_only() {
    let host = Host::new();
    let all = [
        ("net1", "keep", "10.1.0.2/24"),
        ("net1", "stale", "10.1.0.3/24"),
        ("net2", "stale", "10.1.0.4/24"),
        ("net", "stale", "10.1.0.5/24"),
    ];
    host.shell("iptables -P FORWARD DROP");
    for (network, id, address) in all {
        call(&host, "ADD", id, &told(network, address)).ok();
    }
    let present = || {
        let nft = host.run(["nft", "list", "set", "inet", "ferrocni", "members4"]);
        let iptables = host.run(["iptables-save"]);
        let is_there = |(_, _, address): &(&str, &str, &str)| {
            let address = address.trim_end_matches("/24");
            assert_eq!(nft.contains(address), iptables.contains(address), "{address}");
            nft.contains(address)
        };
        all.iter().map(is_there).collect::<Vec<_>>()
    };
    assert_eq!(present(), [true; 4]);
    for _ in 0..2 {
        let config = json!({"name": "net1", "type": "firewall",
            "cni.dev/valid-attachments": [{"containerID": "keep", "ifname": "eth0"}]});
        host.cni("firewall").command("GC").config(&config).run().ok();
        assert_eq!(present(), [true, false, true, true]);
    }
}

#[test]
fn status_tells_whether_an_add_could_succeed() {
    let host = Host::new();
    let status =
        |backend: &str| host.cni("firewall").command("STATUS").config(&json!({"type": "firewall", "backend": backend}));
    host.assert_leaves_nothing(|| {
        status("").run().ok();
        status("iptables").run().ok();
    });
    let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=socket"];
    let without_netlink = [&strace[..], &["-e", "inject=socket:error=EPROTONOSUPPORT"]].concat();
    assert_eq!(status("").run_under(&without_netlink).error().code, 50);
    assert_eq!(status("firewalld").run().error().code, 50);
    host.shell("iptables -P FORWARD DROP");
    status("").run().ok();
    // Nobody can get past that without iptables.
    host.shell("mkdir /run/empty; mount --bind /run/empty /usr/sbin");
    assert_eq!(status("").run().error().code, 50);
    assert_eq!(status("iptables").run().error().code, 50);
}

#[test]
fn what_the_reference_let_through_we_check_and_remove() {
    let host = Host::new();
    let before = host.snapshot();
    for keys in [json!({}), json!({"backend": "iptables"})] {
        let mut config = told("net1", "10.1.0.2/24");
        if let Some(backend) = keys.get("backend") {
            config["backend"] = backend.clone();
        }
        host.cni(REFERENCE)
            .command("ADD")
            .container_id("c")
            .netns("/run/netns/x")
            .config(&config)
            .ifname("eth0")
            .run()
            .ok();
        assert!(host.run(["iptables-save"]).contains("10.1.0.2"));
        call(&host, "CHECK", "c", &config).ok();
        call(&host, "DEL", "c", &config).ok();
        assert!(call(&host, "CHECK", "c", &config).error().msg.contains("10.1.0.2"));
        host.snapshot().assert_nothing_since(&before);
        // And the other way round, with the backend that both have.
        config["backend"] = json!("iptables");
        call(&host, "ADD", "c", &config).ok();
        host.cni(REFERENCE)
            .command("DEL")
            .container_id("c")
            .netns("/run/netns/x")
            .config(&config)
            .ifname("eth0")
            .run()
            .ok();
        // The reference knows neither of our record nor of the rule for published ports.
        call(&host, "DEL", "c", &config).ok();
        host.snapshot().assert_nothing_since(&before);
    }
}

/// A plugin after this one may leave the addresses out of its result, which DEL gets.
#[test]
fn a_result_without_addresses_is_no_reason_to_leave_anything() {
    let host = Host::new();
    host.shell("ip link add br9 type bridge; ip link add veth9 master br9 type veth peer name other");
    let mut config = told("net1", "10.1.0.2/24");
    config["ingressPolicy"] = json!("isolated");
    call(&host, "ADD", "c1", &config).ok();
    config["prevResult"]["ips"] = json!([]);
    call(&host, "DEL", "c1", &config).ok();
    let left = host.run(["nft", "list", "ruleset"]);
    assert!(!left.contains("ferrocni:net1/c1"), "{left}");
}
