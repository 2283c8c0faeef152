//! 127.0.0.1 and ::1: published ports answer there, and nothing else comes near.

use serde_json::json;
use tests::{Container, Host, Inside, reference_differs, wire};

use super::{publishing, publishing_with};
use crate::networks::{bridged, point_to_point, portmap, ports, without_br_netfilter};

const LOCALNET: [&str; 6] = ["nft", "list", "chain", "inet", "ferrocni", "localnet"];

/// With br_netfilter the answers to ::1 are translated back before they have left the bridge, and then dropped: a frame
/// from a network must not carry ::1 (`ip6_rcv_core`, net/ipv6/ip6_input.c).
#[test]
fn both_loopback_addresses_reach_published_ports() {
    let host = Host::new();
    without_br_netfilter(&host);
    let web = host.container("web");
    let network = publishing(&host, 1, &[("tcp", 8080, 80), ("udp", 8053, 53)]);
    host.assert_leaves_nothing(|| {
        network.add(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
        assert_eq!(host.assert_reaches_udp("127.0.0.1:8053").ip().to_string(), "10.1.0.1");
        host.assert_reaches_tcp("127.1.2.3:8080");
        if !reference_differs("it has no way for ::1") {
            assert_eq!(host.assert_reaches_tcp("[::1]:8080").ip().to_string(), "fd00:1::1");
            assert_eq!(host.assert_reaches_udp("[::1]:8053").ip().to_string(), "fd00:1::1");
        }
        network.del(&web, "eth0").ok();
    });
}

#[test]
fn the_host_s_own_servers_stay_at_their_loopback_addresses() {
    let host = Host::new();
    let web = host.container("web");
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&web, "eth0").ok();
    let _own = host.listen_tcp(9000);
    assert_eq!(host.assert_reaches_tcp("127.0.0.1:9000").ip().to_string(), "127.0.0.1");
    assert_eq!(host.assert_reaches_tcp("[::1]:9000").ip().to_string(), "::1");
    web.assert_reaches_tcp("10.1.0.1:9000");
    web.assert_reaches_tcp("[fd00:1::1]:9000");
}

/// Turns a container into one that sends packets to 127.0.0.1 and ::1 to the host, and that takes such addresses itself.
fn attack(attacker: &Container) {
    attacker.shell(
        "ip addr flush dev lo; ip link set lo down
         echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route add 127.0.0.0/8 via 10.1.0.1
         ip -6 route flush table local ::1 2>/dev/null || true
         ip -6 route add ::1/128 via fd00:1::1",
    );
}

/// CVE-2020-8558.
#[test]
fn a_neighbour_does_not_reach_what_listens_on_the_host_s_loopback() {
    let host = Host::new();
    let (web, attacker) = (host.container("web"), host.container("attacker"));
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&web, "eth0").ok();
    host.chain(&bridged(1, &[])).add(&attacker, "eth0").ok();
    let (_published, _own) = (web.listen_tcp(80), host.listen_tcp(9000));
    assert_eq!(host.read("/proc/sys/net/ipv4/conf/br1/route_localnet").unwrap(), "1\n");
    host.assert_reaches_tcp("127.0.0.1:8080");
    attack(&attacker);
    attacker.assert_reaches_tcp("10.1.0.1:9000");
    if reference_differs("it opens route_localnet without a filter") {
        return;
    }
    for to in ["127.0.0.1:9000", "127.0.0.1:8080", "[::1]:9000", "[::1]:8080"] {
        attacker.assert_blocked_tcp(to);
    }
    // Either of the two filters keeps the attacker out.
    host.run(["nft", "flush", "ruleset"]);
    attacker.assert_blocked_tcp("127.0.0.1:9000");
    take_guard(&host);
    attacker.assert_reaches_tcp("127.0.0.1:9000");
}

#[test]
fn a_lost_filter_of_the_bridge_is_an_error_until_the_next_add() {
    let host = Host::new();
    let (web, other) = (host.container("web"), host.container("other"));
    let network = publishing(&host, 1, &[("tcp", 8080, 80)]);
    network.add(&web, "eth0").ok();
    network.check(&web, "eth0").ok();
    take_guard(&host);
    let error = network.check(&web, "eth0").error();
    assert!(error.msg.contains("link br1") && error.msg.contains("reload"), "{error:?}");
    publishing(&host, 1, &[("tcp", 8081, 80)]).add(&other, "eth0").ok();
    network.check(&web, "eth0").ok();
    // As it is after an ADD of an earlier version, or on a kernel that has no such filters.
    host.run(["tc", "qdisc", "del", "dev", "br1", "clsact"]);
    network.check(&web, "eth0").ok();
}

/// Takes the bridge's own filter away.
fn take_guard(host: &Host) {
    take_guard_of(host, "br1");
}

fn take_guard_of(host: &Host, link: &str) {
    assert!(host.run(["tc", "filter", "show", "dev", link, "ingress"]).contains("direct-action"));
    host.run(["tc", "filter", "del", "dev", link, "ingress", "pref", "1"]);
}

/// Before it and after it in the chain: the reference's is the only one that has to be alone.
#[test]
fn a_link_of_one_container_has_both_the_guard_and_the_redirection_of_bandwidth() {
    let limits = json!({
        "type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 8_000_000, "egressRate": 80_000_000,
        "egressBurst": 8_000_000
    });
    let portmap = portmap(&json!({}));
    for chained in [vec![portmap.clone()], vec![portmap.clone(), limits.clone()], vec![limits.clone(), portmap]] {
        let host = Host::new();
        let web = host.container("web");
        let network = host.chain(&point_to_point(1, &chained)).capabilities(&ports(&[("tcp", 8080, 80)]));
        host.assert_leaves_nothing(|| {
            let result = network.add(&web, "eth0").ok();
            let link = result["interfaces"][0]["name"].as_str().unwrap().to_owned();
            network.check(&web, "eth0").ok();
            let (_published, _own) = (web.listen_tcp(80), host.listen_tcp(9000));
            assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
            if reference_differs("it opens route_localnet without a filter") {
                return;
            }
            attack(&web);
            web.assert_reaches_tcp("10.1.0.1:9000");
            web.assert_blocked_tcp("127.0.0.1:9000");
            host.run(["nft", "flush", "ruleset"]);
            web.assert_blocked_tcp("127.0.0.1:9000");
            take_guard_of(&host, &link);
            web.assert_reaches_tcp("127.0.0.1:9000");
            let is_redirected = host.run(["tc", "filter", "show", "dev", &link, "ingress"]).contains("Redirect");
            assert_eq!(is_redirected, chained.len() > 1, "that one stands");
            network.del(&web, "eth0").ok();
        });
    }
}

#[test]
fn a_lost_guard_of_a_link_of_one_container_is_an_error() {
    let host = Host::new();
    let web = host.container("web");
    let network = host.chain(&point_to_point(1, &[portmap(&json!({}))])).capabilities(&ports(&[("tcp", 8080, 80)]));
    let result = network.add(&web, "eth0").ok();
    let link = result["interfaces"][0]["name"].as_str().unwrap();
    network.check(&web, "eth0").ok();
    take_guard_of(&host, link);
    let error = network.check(&web, "eth0").error();
    assert!(error.msg.contains(link) && error.msg.contains("reload"), "{error:?}");
}

/// It fails where its ingress discipline is not the only one.
#[test]
fn the_reference_s_bandwidth_finds_room() {
    let host = Host::new();
    let web = host.container("web");
    let mut list = point_to_point(1, &[portmap(&json!({}))]);
    list["cniVersion"] = json!("1.0.0");
    let network = host.chain(&list).capabilities(&ports(&[("tcp", 8080, 80)]));
    let result = network.add_all_but_last(&web, "eth0").path("/usr/lib/cni").run().ok();
    let limits = json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "bandwidth", "egressRate": 80_000_000, "egressBurst": 8_000_000,
        "prevResult": result
    });
    host.cni("/usr/lib/cni/bandwidth").command("ADD").container(&web).config(&limits).run().ok();
    network.check(&web, "eth0").ok();
}

/// With br_netfilter the rules see answers before the bridge's own filter does, and without it after.
#[test]
fn the_bridge_s_own_filter_lets_answers_in() {
    for translates_within_bridge in [true, false] {
        let host = Host::new();
        if !translates_within_bridge {
            without_br_netfilter(&host);
        }
        let web = host.container("web");
        let network = publishing(&host, 1, &[("tcp", 8080, 80), ("udp", 8053, 53)]);
        network.add(&web, "eth0").ok();
        let _servers = (web.listen_tcp(80), web.listen_udp(53));
        host.run(["nft", "flush", "chain", "inet", "ferrocni", "localnet"]);
        host.assert_reaches_tcp("127.0.0.1:8080");
        host.assert_reaches_udp("127.0.0.1:8053");
        network.del(&web, "eth0").ok();
        assert_eq!(host.run(["tc", "qdisc", "show", "dev", "br1"]).matches("clsact").count(), 0);
    }
}

/// A packet that says it comes from 127.0.0.1 is not believed either.
#[test]
fn a_neighbour_cannot_speak_as_the_host_s_loopback() {
    let host = Host::new();
    let (web, attacker) = (host.container("web"), host.container("attacker"));
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&web, "eth0").ok();
    host.chain(&bridged(1, &[])).add(&attacker, "eth0").ok();
    attack(&attacker);
    attacker.shell("ip addr add 127.0.0.9/32 dev eth0");
    // As careless as a host can be.
    host.shell("for i in all br1; do cd /proc/sys/net/ipv4/conf/$i; echo 1 > accept_local; echo 0 > rp_filter; done");
    let _server = host.spawn(["socat", "-u", "UDP4-RECVFROM:9000,fork", "OPEN:/run/heard,creat,append"]);
    let spoof = || {
        attacker
            .shell("for i in 1 2 3 4 5; do echo hi | socat -u - UDP4:10.1.0.1:9000,bind=127.0.0.9; sleep 0.1; done");
        host.read("/run/heard").unwrap_or_default()
    };
    assert_eq!(spoof(), "");
    host.run(["nft", "flush", "chain", "inet", "ferrocni", "localnet"]);
    assert_eq!(spoof(), "", "the bridge's own filter stands");
    take_guard(&host);
    assert!(spoof().starts_with("hi"), "it is the filters that keep the attacker out");
}

/// moby#45610: somebody on the host's own wire.
#[test]
fn a_port_published_on_loopback_is_not_reached_over_the_wire() {
    let (host, outside) = wire();
    let web = host.container("web");
    let mapping = |address: &str| json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": address});
    let mappings = json!([mapping("127.0.0.1"), mapping("::1")]);
    publishing_with(&host, 1, &json!({}), &mappings).add(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
    if reference_differs("it lets everybody on the wire in") {
        return;
    }
    outside.shell(
        "ip addr flush dev lo; ip link set lo down
         echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route add 127.0.0.0/8 via 192.0.2.1
         ip -6 route add ::1/128 via 2001:db8::1",
    );
    for to in ["127.0.0.1:8080", "192.0.2.1:8080", "[::1]:8080", "[2001:db8::1]:8080"] {
        outside.assert_blocked_tcp(to);
    }
}

#[test]
fn route_localnet_is_set_where_it_is_needed_only_and_never_without_the_filter() {
    let host = Host::new();
    let (one, two) = (host.container("one"), host.container("two"));
    let route_localnet = || host.shell("cd /proc/sys/net/ipv4/conf; grep -l 1 */route_localnet || true");
    host.chain(&bridged(2, &[])).add(&two, "eth0").ok();
    assert_eq!(route_localnet(), "");
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&one, "eth0").ok();
    assert_eq!(route_localnet(), "br1/route_localnet\n");
    // Somebody damages the filter; the next ADD brings it back first, on another link or the same.
    host.run(["nft", "flush", "chain", "inet", "ferrocni", "localnet"]);
    let _own = host.listen_tcp(9000);
    let (three, four) = (host.container("three"), host.container("four"));
    publishing(&host, 3, &[("tcp", 8081, 80)]).add(&three, "eth0").ok();
    assert_eq!(route_localnet(), "br1/route_localnet\nbr3/route_localnet\n");
    assert!(host.run(LOCALNET).contains("127.0.0.0/8"));
    host.run(["nft", "flush", "chain", "inet", "ferrocni", "localnet"]);
    publishing(&host, 1, &[("tcp", 8082, 80)]).add(&four, "eth0").ok();
    assert!(host.run(LOCALNET).contains("127.0.0.0/8"));
    attack(&one);
    one.assert_reaches_tcp("10.1.0.1:9000");
    one.assert_blocked_tcp("127.0.0.1:9000");
}

/// The iptables backend opens route_localnet as well, and has no filter of its own.
#[test]
fn the_filter_is_there_with_iptables_too() {
    let host = Host::new();
    let (web, attacker) = (host.container("web"), host.container("attacker"));
    let mappings = &ports(&[("tcp", 8080, 80)])["portMappings"];
    let network = publishing_with(&host, 1, &json!({"backend": "iptables"}), mappings);
    let added = network.add(&web, "eth0").ok();
    host.chain(&bridged(1, &[])).add(&attacker, "eth0").ok();
    let (_published, _own) = (web.listen_tcp(80), host.listen_tcp(9000));
    host.assert_reaches_tcp("127.0.0.1:8080");
    attack(&attacker);
    attacker.assert_reaches_tcp("10.1.0.1:9000");
    if reference_differs("it opens route_localnet without a filter") {
        return;
    }
    attacker.assert_blocked_tcp("127.0.0.1:9000");
    network.check(&web, "eth0").ok();
    host.run(["nft", "delete", "table", "inet", "ferrocni"]);
    let mut without_bridge = json!({"name": "net1", "type": "portmap", "backend": "iptables"});
    without_bridge["runtimeConfig"] = ports(&[("tcp", 8080, 80)]);
    without_bridge["prevResult"] = added;
    let error = host.cni("portmap").command("CHECK").container(&web).config(&without_bridge).run().error();
    assert!(error.msg.contains("localnet"), "{error:?}");
    let again = host.container("again");
    let mappings = &ports(&[("tcp", 8081, 80)])["portMappings"];
    publishing_with(&host, 1, &json!({"backend": "iptables"}), mappings).add(&again, "eth0").ok();
    attacker.assert_blocked_tcp("127.0.0.1:9000");
}

/// What opens the host's loopback addresses, by link.
fn opened(host: &Host) -> String {
    host.shell(
        "cd /proc/sys/net/ipv4/conf; grep -l 1 */route_localnet | sed 's|/.*||' || true
         ip -6 route show table local ::1 | grep -v 'dev lo ' | sed 's/.*dev \\([^ ]*\\).*/::1 \\1/' || true",
    )
}

/// Behind a bridge that is no gateway, the way to a container's address is the way to the outside.
#[test]
fn a_link_to_the_outside_is_never_opened() {
    let (host, _outside) = wire();
    host.shell("ip route replace default via 192.0.2.2; ip -6 route replace default via 2001:db8::2");
    let web = host.container("web");
    let mut config = bridged(1, &[portmap(&json!({}))]);
    config["plugins"][0]["isDefaultGateway"] = json!(false);
    config["plugins"][0]["ipMasq"] = json!(false);
    host.chain(&config).capabilities(&ports(&[("tcp", 8080, 80)])).add(&web, "eth0").ok();
    assert_eq!(opened(&host), "");
}

#[test]
fn the_last_port_behind_a_bridge_closes_it() {
    let host = Host::new();
    let (one, two, three) = (host.container("one"), host.container("two"), host.container("three"));
    let network = |port| publishing(&host, 1, &[("tcp", port, 80)]);
    network(8080).add(&one, "eth0").ok();
    network(8081).add(&two, "eth0").ok();
    assert_eq!(opened(&host), "br1\n::1 br1\n");
    network(8080).del(&one, "eth0").ok();
    assert_eq!(opened(&host), "br1\n::1 br1\n", "another container publishes a port");
    network(8081).del(&two, "eth0").ok();
    assert_eq!(opened(&host), "");
    network(8082).add(&three, "eth0").ok();
    assert_eq!(opened(&host), "br1\n::1 br1\n");
    network(8082).gc(&[]).ok();
    assert_eq!(opened(&host), "");
}

#[test]
fn the_way_back_closes_what_was_open_before_the_filter_goes() {
    let host = Host::new();
    let web = host.container("web");
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&web, "eth0").ok();
    host.shell(
        "ip link add own type bridge; ip link add port master own type veth
         echo 1 > /proc/sys/net/ipv4/conf/own/route_localnet",
    );
    assert_eq!(opened(&host), "br1\nown\n::1 br1\n");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/uninstall.sh");
    host.run([script]);
    assert_eq!(opened(&host), "own\n", "what is the administrator's stays");
    assert_eq!(host.run(["nft", "list", "tables"]).matches("ferrocni").count(), 0);
    host.run([script]);
}
