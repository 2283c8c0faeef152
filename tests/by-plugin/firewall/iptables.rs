//! The backend that the reference has too.

use serde_json::{Value, json};
use tests::{Host, Inside as _, every_plugin_rules, reference_differs, wire};

use super::{Attached, network};

fn by_iptables(more: &Value) -> Value {
    let mut keys = more.clone();
    keys["backend"] = json!("iptables");
    keys
}

#[test]
fn containers_talk_where_iptables_would_drop() {
    let (host, outside) = wire();
    outside.shell("ip route add 10.1.0.0/24 via 192.0.2.1; ip -6 route add fd00:1::/64 via 2001:db8::1");
    host.shell("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
    let one = network(&host, 1, &by_iptables(&json!({})), &[("tcp", 8080, 80)]);
    let web = Attached::to(&one, "web");
    let _servers = (web.container.listen_tcp(80), outside.listen_tcp(80));
    web.container.assert_reaches_tcp("192.0.2.2:80");
    web.container.assert_reaches_tcp("[2001:db8::2]:80");
    web.at(80).iter().for_each(|to| outside.assert_blocked_tcp(to));
    if !reference_differs("its published ports are dead where FORWARD drops") {
        outside.assert_reaches_tcp("192.0.2.1:8080");
        one.check(&web.container, "eth0").ok();
    }
}

#[test]
fn networks_are_closed_to_each_other() {
    let host = Host::new();
    let keys = by_iptables(&json!({"ingressPolicy": "same-bridge"}));
    let (one, two, open) =
        (network(&host, 1, &keys, &[]), network(&host, 2, &keys, &[]), network(&host, 3, &json!({}), &[]));
    let (a, b) = (Attached::to(&one, "a"), Attached::to(&one, "b"));
    let (c, d) = (Attached::to(&two, "c"), Attached::to(&open, "d"));
    let _servers = [&a, &b, &c, &d].map(|attached| attached.container.listen_tcp(80));
    for index in [0, 1] {
        let at = |attached: &Attached| attached.at(80)[index].clone();
        a.container.assert_reaches_tcp(&at(&b));
        a.container.assert_blocked_tcp(&at(&c));
        c.container.assert_blocked_tcp(&at(&a));
        d.container.assert_reaches_tcp(&at(&a));
        a.container.assert_reaches_tcp(&at(&d));
    }
    assert!(host.run(["iptables-save"]).contains("CNI-ISOLATION-STAGE-2 -o br1"));
}

#[test]
fn isolated_containers_are_closed_to_each_other_too() {
    let host = Host::new();
    let one = network(&host, 1, &by_iptables(&json!({"ingressPolicy": "isolated"})), &[]);
    let (a, b) = (Attached::to(&one, "a"), Attached::to(&one, "b"));
    let _server = b.container.listen_tcp(80);
    for to in b.at(80) {
        host.assert_reaches_tcp(&to);
        a.container.assert_blocked_tcp(&to);
    }
    one.check(&a.container, "eth0").ok();
}

#[test]
fn the_administrator_s_chain_has_the_name_that_was_asked_for_and_comes_first() {
    let host = Host::new();
    let one = network(&host, 1, &by_iptables(&json!({"iptablesAdminChainName": "MINE"})), &[]);
    let (a, other) = (Attached::to(&one, "a"), host.container("other"));
    let outside = host.neighbour();
    let _servers = (outside.listen_tcp(80), outside.listen_tcp(81));
    a.container.assert_reaches_tcp("192.0.2.2:80");
    host.shell("iptables -A MINE -p tcp --dport 80 -j DROP");
    a.container.assert_blocked_tcp("192.0.2.2:80");
    a.container.assert_reaches_tcp("192.0.2.2:81");
    one.add(&other, "eth0").ok();
    one.del(&other, "eth0").ok();
    a.container.assert_blocked_tcp("192.0.2.2:80");
    let saved = host.run(["iptables-save"]);
    assert!(!saved.contains("CNI-ADMIN") && saved.contains("-A MINE -p tcp"), "{saved}");
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let container = host.container("c");
    every_plugin_rules(&network(&host, 1, &by_iptables(&json!({})), &[]), &container, "eth0");
}

#[test]
fn isolation_goes_with_the_last_container_of_the_bridge() {
    let host = Host::new();
    let keys = by_iptables(&json!({"ingressPolicy": "isolated"}));
    let (one, two) = (network(&host, 1, &keys, &[]), network(&host, 2, &keys, &[]));
    let isolated = |bridge: &str| host.run(["iptables-save"]).contains(&format!("CNI-ISOLATION-STAGE-2 -o {bridge} "));
    every_plugin_rules(&one, &host.container("first"), "eth0");
    let (a, b, c) = (Attached::to(&one, "a"), Attached::to(&one, "b"), Attached::to(&two, "c"));
    assert!(isolated("br1") && isolated("br2"));
    one.del(&a.container, "eth0").ok();
    assert!(isolated("br1"), "b is still there");
    one.del_blind(&b.container, "eth0").ok();
    assert!(!isolated("br1") && isolated("br2"));
    two.gc(&[]).ok();
    assert!(!host.run(["iptables-save"]).contains("ISOLATION"));
    two.del(&c.container, "eth0").ok();
}

#[test]
fn check_misses_a_rule() {
    let host = Host::new();
    let keys = by_iptables(&json!({"ingressPolicy": "same-bridge"}));
    let one = network(&host, 1, &keys, &[]);
    for damage in [
        "iptables -D FORWARD 1",
        "iptables -F FORWARD",
        "ip6tables -F CNI-FORWARD",
        "iptables -F CNI-ISOLATION-STAGE-1",
    ] {
        if damage.contains(" FORWARD") || damage.contains("ISOLATION") {
            // Only the container's own rules are looked at there.
            if reference_differs("its CHECK does not look at what all share") {
                continue;
            }
        }
        let web = host.container("web");
        one.add(&web, "eth0").ok();
        one.check(&web, "eth0").ok();
        host.shell(damage);
        let error = one.check(&web, "eth0").error();
        if !reference_differs("it has its own words") {
            assert!(error.msg.contains("-A "), "{damage}: {error:?}");
        }
        one.del(&web, "eth0").ok();
        host.run(["ip", "netns", "del", "web"]);
    }
}

#[test]
fn gc_takes_the_stale_ones_only() {
    let host = Host::new();
    let one = network(&host, 1, &by_iptables(&json!({})), &[]);
    let _keep = Attached::to(&one, "keep");
    let before = host.snapshot();
    let stale = Attached::to(&one, "stale");
    one.gc(&[("keep", "eth0")]).ok();
    let saved = host.run(["iptables-save"]);
    assert!(saved.contains("-s 10.1.0.2/32") && !saved.contains("10.1.0.3"), "{saved}");
    one.del(&stale.container, "eth0").ok();
    drop(host.lose(stale.container));
    host.snapshot().assert_nothing_since(&before);
}

/// The rules name an address and no container: if the elements that do went first, nobody would find them again.
#[test]
fn a_del_that_failed_at_iptables_can_be_repeated() {
    let host = Host::new();
    let one = network(&host, 1, &by_iptables(&json!({"ingressPolicy": "same-bridge"})), &[]);
    let web = Attached::to(&one, "web");
    let config = json!({"name": "net1", "type": "firewall", "backend": "iptables"});
    let del = || host.cni("firewall").command("DEL").container(&web.container).config(&config);
    host.shell("mkdir /run/empty; mount --bind /run/empty /usr/sbin");
    let error = del().run().error();
    assert!(error.msg.contains("iptables"), "{error:?}");
    host.shell("/bin/umount /usr/sbin");
    let saved = host.run(["iptables-save"]);
    assert!(saved.contains("10.1.0.2") && saved.contains("br1"), "{saved}");
    del().run().ok();
    let saved = host.run(["iptables-save"]);
    assert!(!saved.contains("10.1.0.2") && !saved.contains("br1"), "{saved}");
}

#[test]
fn an_unknown_backend_is_none_at_all() {
    let host = Host::new();
    let one = network(&host, 1, &json!({"backend": "none"}), &[]);
    let web = Attached::to(&one, "web");
    let filters = host.run(["nft", "list", "ruleset"]) + &host.run(["iptables-save"]);
    assert!(filters.contains(&web.v4), "{filters}");
    one.del(&web.container, "eth0").ok();
}
