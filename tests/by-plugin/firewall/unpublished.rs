//! `unpublishedPorts`: who reaches a container at its own address.

use serde_json::{Value, json};
use tests::{Capture, Host, Inside as _, every_plugin_rules, firewalld, wire};

use super::policies::assert_talk;
use super::{Attached, network};
use crate::networks::{bridged, earlier_layouts, firewall, go_back_to, portmap, ports};

fn closed() -> Value {
    json!({"unpublishedPorts": "closed"})
}

/// A host, and another machine that knows the way through it to containers.
fn routed() -> (Host, Host) {
    let (host, outside) = wire();
    outside.shell("ip route add 10.0.0.0/8 via 192.0.2.1; ip -6 route add fd00::/8 via 2001:db8::1");
    (host, outside)
}

/// What serves TCP on port 80 and UDP on port 53 is reached at its own addresses by the host, and by the other machine as well or
/// not at all.
#[track_caller]
fn assert_own_addresses(host: &Host, outside: &Host, web: &Attached, is_reached: bool) {
    for (tcp, udp) in web.at(80).iter().zip(&web.at(53)) {
        host.assert_reaches_tcp(tcp);
        host.assert_reaches_udp(udp);
        if is_reached {
            outside.assert_reaches_tcp(tcp);
            outside.assert_reaches_udp(udp);
        } else {
            outside.assert_blocked_tcp(tcp);
            outside.assert_blocked_udp(udp);
        }
    }
    for address in [&web.v4, &web.v6] {
        let address = address.trim_matches(['[', ']']);
        host.assert_pings(address);
        let ping = outside.try_run(["ping", "-n", "-c1", "-W1", address]);
        assert_eq!(ping.status.success(), is_reached, "{ping}");
    }
}

#[test]
fn without_the_key_another_machine_with_a_route_reaches_all() {
    let (host, outside) = routed();
    for (number, keys) in
        [(1, json!({})), (2, json!({"unpublishedPorts": "open"})), (3, json!({"unpublishedPorts": ""}))]
    {
        let web = Attached::to(&network(&host, number, &keys, &[]), &format!("web{number}"));
        let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53));
        assert_own_addresses(&host, &outside, &web, true);
    }
}

#[test]
fn another_machine_reaches_published_ports_and_no_others() {
    let (host, outside) = routed();
    for (number, backends) in
        [(1, ["nftables", "nftables"]), (2, ["iptables", "nftables"]), (3, ["nftables", "iptables"])]
    {
        let [of_portmap, of_firewall] = backends.map(|backend| json!({"backend": backend}));
        let mut keys = closed();
        keys["backend"] = of_firewall["backend"].clone();
        let published = ports(&[("tcp", 8080, 80), ("udp", 8053, 53)]);
        let one = host.chain(&bridged(number, &[portmap(&of_portmap), firewall(&keys)])).capabilities(&published);
        let web = Attached::to(&one, &format!("web{number}"));
        let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53));
        for published in ["192.0.2.1", "[2001:db8::1]"] {
            outside.assert_reaches_tcp(&format!("{published}:8080"));
            outside.assert_reaches_udp(&format!("{published}:8053"));
        }
        assert_own_addresses(&host, &outside, &web, false);
        one.check(&web.container, "eth0").ok();
        one.del(&web.container, "eth0").ok();
    }
}

#[test]
fn what_another_program_redirects_to_the_container_is_published_too() {
    let (host, outside) = routed();
    let web = Attached::to(&network(&host, 1, &closed(), &[]), "web");
    let _server = web.container.listen_tcp(80);
    host.shell(&format!(
        "nft add table ip theirs
         nft add chain ip theirs prerouting '{{ type nat hook prerouting priority -101; }}'
         nft add rule ip theirs prerouting tcp dport 8080 dnat to {}",
        web.at(80)[0]
    ));
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_blocked_tcp(&web.at(80)[0]);
}

#[test]
fn firewalld_s_zone_opens_nothing() {
    let (host, outside) = routed();
    let _daemons = firewalld::start(&host);
    // Which alone would let the other machine in.
    host.run(["firewall-cmd", "--zone=trusted", "--add-interface=uplink"]);
    let web = Attached::to(&network(&host, 1, &closed(), &[("tcp", 8080, 80)]), "web");
    let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53));
    outside.assert_reaches_tcp("192.0.2.1:8080");
    assert_own_addresses(&host, &outside, &web, false);
}

/// Under its own address, so that they come back to it without any translation.
#[test]
fn answers_to_the_container_come_back() {
    let (host, outside) = routed();
    let mut list = bridged(1, &[firewall(&closed())]);
    list["plugins"][0]["ipMasq"] = json!(false);
    let web = Attached::to(&host.chain(&list), "web");
    let _servers = (outside.listen_tcp(80), outside.listen_udp(53));
    for (there, own) in [("192.0.2.2", &web.v4), ("[2001:db8::2]", &web.v6)] {
        let seen = web.container.assert_reaches_tcp(&format!("{there}:80")).ip().to_string();
        assert_eq!(seen, own.trim_matches(['[', ']']));
        web.container.assert_reaches_udp(&format!("{there}:53"));
        web.container.assert_pings(there.trim_matches(['[', ']']));
    }
}

/// They come from no other machine, whichever of the two networks is closed.
#[test]
fn containers_reach_each_other_as_their_policies_say() {
    for (policy, expected) in
        [("open", [true, true, true]), ("same-bridge", [true, false, false]), ("isolated", [false, false, false])]
    {
        let keys = |unpublished: &str| json!({"ingressPolicy": policy, "unpublishedPorts": unpublished});
        for (first, second) in [("closed", "open"), ("open", "closed"), ("closed", "closed")] {
            assert_talk(&keys(first), &keys(second), expected);
        }
    }
}

/// Where bridged packets pass the firewall (br_netfilter), also those of addresses that no plugin gave.
#[test]
fn within_a_bridge_nothing_is_closed() {
    let host = Host::new();
    let one = network(&host, 1, &closed(), &[]);
    let (a, b) = (Attached::to(&one, "a"), Attached::to(&one, "b"));
    let _server = b.container.listen_tcp(80);
    a.container.shell("ip addr add 10.1.0.201/24 dev eth0; ip route add 10.1.0.3 dev eth0 src 10.1.0.201");
    assert_eq!(a.container.assert_reaches_tcp(&b.at(80)[0]).ip().to_string(), "10.1.0.201");
}

#[test]
fn containers_of_ptp_reach_each_other_and_are_closed_to_another_machine() {
    let (host, outside) = routed();
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]});
    let ptp = json!({"type": "ptp", "ipam": ipam});
    let one = host.chain(&json!({"name": "net1", "plugins": [ptp, firewall(&closed())]}));
    let (web, peer) = (Attached::to(&one, "web"), Attached::to(&one, "peer"));
    let _servers = (web.container.listen_tcp(80), web.container.listen_udp(53));
    assert_reaches(&peer, &web);
    assert_own_addresses(&host, &outside, &web, false);
}

/// A datagram needs no answer to do harm.
#[test]
fn a_container_s_address_is_no_way_in_for_another_machine() {
    let (host, outside) = routed();
    host.shell("for i in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $i; done");
    let (one, two) = (network(&host, 1, &closed(), &[]), network(&host, 2, &json!({}), &[]));
    let (shut, sender, open) = (Attached::to(&one, "shut"), Attached::to(&two, "sender"), Attached::to(&two, "open"));
    let captures = [&shut, &open].map(|to| Capture::start(&to.container, &to.container.id, "-i eth0 udp port 53"));
    for (family, from) in [(4, &sender.v4), (6, &sender.v6)] {
        let (bare, length) = (from.trim_matches(['[', ']']), if family == 4 { 32 } else { 128 });
        outside.shell(&format!("ip addr add {bare}/{length} dev lo"));
        for to in [&shut, &open] {
            let to = &to.at(53)[usize::from(family == 6)];
            outside.shell(&format!("echo forged | socat - UDP{family}-SENDTO:{to},bind={from}"));
        }
        captures[1].assert_sees(&format!("{bare}.* > "));
    }
    assert!(!captures[0].frames().contains(" > "), "{}", captures[0].frames());
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let container = host.container("c");
    let one = network(&host, 1, &closed(), &[]);
    every_plugin_rules(&one, &container, "eth0");
    host.assert_leaves_nothing(|| {
        let lost = Attached::to(&one, "lost");
        drop(host.lose(lost.container));
        one.gc(&[]).ok();
    });
}

#[test]
fn check_names_what_is_missing() {
    let host = Host::new();
    let mut list = bridged(1, &[firewall(&closed())]);
    list["plugins"][0]["ipMasq"] = json!(false);
    let one = host.chain(&list);
    for (damage, words) in [
        ("delete element inet ferrocni closed4 { ADDRESS }", "closed ports of 10.1.0."),
        ("delete element inet ferrocni own_link4 { br1 . br1 . ADDRESS }", "within br1"),
        ("delete element inet ferrocni senders4 { br1 . ADDRESS }", "sender 10.1.0."),
        ("flush chain inet ferrocni unpublished", "unpublished: expected"),
        ("flush chain inet ferrocni member", "member: expected"),
    ] {
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
fn what_is_flushed_is_closed_again_by_the_next_add() {
    let (host, outside) = routed();
    let (one, two) = (network(&host, 1, &closed(), &[]), network(&host, 2, &json!({}), &[]));
    // The next container of a network needs no chain that is not there: only a damage makes its ADD look at the others.
    let (web, _first) = (Attached::to(&one, "web"), Attached::to(&two, "first"));
    for damage in ["flush chain inet ferrocni unpublished", "flush table inet ferrocni"] {
        host.run(["nft", damage]);
        let other = Attached::to(&two, "other");
        assert_is_closed(&outside, &web);
        two.del(&other.container, "eth0").ok();
        drop(host.lose(other.container));
    }
    host.run(["nft", "flush", "ruleset"]);
    assert_is_closed(&outside, &Attached::to(&one, "next"));
}

#[track_caller]
fn assert_is_closed(outside: &Host, to: &Attached) {
    let _server = to.container.listen_tcp(80);
    to.at(80).iter().for_each(|to| outside.assert_blocked_tcp(to));
}

/// Of containers that an earlier version attached nothing tells by which link they send: only to closed ones are they strangers.
#[test]
fn the_tables_of_an_earlier_version_close_with_the_next_add() {
    // Those that knew no closed ports: the third layout did.
    let [first, second, ..] = earlier_layouts();
    for earlier in [first, second] {
        let (host, outside) = routed();
        let (one, two) = (network(&host, 1, &closed(), &[]), network(&host, 2, &json!({}), &[]));
        let old = Attached::to(&two, "old");
        go_back_to(&host, &earlier);
        two.check(&old.container, "eth0").ok();
        let web = Attached::to(&one, "web");
        let _servers =
            [&old, &web].map(|attached| (attached.container.listen_tcp(80), attached.container.listen_udp(53)));
        assert_own_addresses(&host, &outside, &old, true);
        assert_own_addresses(&host, &outside, &web, false);
        one.check(&web.container, "eth0").ok();
        two.check(&old.container, "eth0").ok();
        assert_reaches(&web, &old);
        web.at(80).iter().for_each(|to| old.container.assert_blocked_tcp(to));
        let new = Attached::to(&two, "new");
        assert_reaches(&new, &web);
    }
}

/// What serves on port 80 is reached at its own addresses by another container.
#[track_caller]
fn assert_reaches(from: &Attached, to: &Attached) {
    for to in to.at(80) {
        from.container.assert_reaches_tcp(&to);
    }
}

#[test]
fn the_administrator_lets_in_whom_they_want() {
    let (host, outside) = routed();
    let web = Attached::to(&network(&host, 1, &closed(), &[]), "web");
    let _servers = (web.container.listen_tcp(80), web.container.listen_tcp(81));
    host.run(["nft", "add rule inet ferrocni admin ip saddr 192.0.2.2 tcp dport 80 accept"]);
    outside.assert_reaches_tcp(&web.at(80)[0]);
    outside.assert_blocked_tcp(&web.at(81)[0]);
}

#[test]
fn there_is_nothing_to_close_where_the_host_is_not_on_the_way() {
    let host = Host::new();
    let config = json!({
        "name": "net1", "type": "firewall", "unpublishedPorts": "closed",
        "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
            "ips": [{"interface": 0, "address": "10.1.0.2/24"}]}
    });
    let add =
        host.cni("firewall").command("ADD").container_id("c").netns("/run/netns/x").ifname("eth0").config(&config);
    let error = host.assert_leaves_nothing(|| add.run().error());
    assert_eq!(error.code, 7);
    assert!(error.msg.contains("chain this plugin after bridge or ptp"), "{error:?}");
}
