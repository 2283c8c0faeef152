//! Who has a port, when several want it.

use serde_json::json;
use tests::{Host, Inside as _, every_plugin_rules, is_reference, reference_differs, wire};

use super::{publishing, publishing_with};

#[test]
fn the_second_to_ask_for_a_port_is_told_who_has_it() {
    let host = Host::new();
    let (first, second) = (host.container("first"), host.container("second"));
    publishing(&host, 1, &[("tcp", 8080, 80)]).add(&first, "eth0").ok();
    let _server = first.listen_tcp(80);
    for number in [1, 2] {
        let network = publishing(&host, number, &[("tcp", 8079, 80), ("tcp", 8080, 80)]);
        host.assert_leaves_nothing(|| {
            let last = network.add_all_but_last(&second, "eth0");
            let error = host.assert_leaves_nothing(|| last.run().error());
            assert_eq!(error.code, 999);
            assert!(error.msg.contains("tcp port 8080"), "{error:?}");
            for word in ["net1", "first", "eth0"] {
                assert!(error.msg.contains(word), "{word}: {error:?}");
            }
            assert!(error.details.contains("choose another host port"), "{error:?}");
            host.assert_blocked_tcp("127.0.0.1:8079");
            network.del(&second, "eth0").ok();
        });
    }
    host.assert_reaches_tcp("127.0.0.1:8080");
}

#[test]
fn a_port_is_free_again_after_del() {
    let host = Host::new();
    let (first, second) = (host.container("first"), host.container("second"));
    let network = publishing(&host, 1, &[("tcp", 8080, 80)]);
    network.add(&first, "eth0").ok();
    network.del(&first, "eth0").ok();
    network.add(&second, "eth0").ok();
    let _server = second.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
}

#[test]
fn protocols_and_host_addresses_are_different_ports() {
    let (host, outside) = wire();
    host.shell("ip addr add 192.0.2.11/24 dev uplink");
    // Each listens on a port of its own, so an answer tells who it is from. What is published on one address comes before
    // and after what is published on all.
    let cases = [
        ("specific", "192.0.2.11", "tcp", 81),
        ("any", "", "tcp", 82),
        ("datagrams", "", "udp", 83),
        ("loopback", "127.0.0.1", "tcp", 84),
    ];
    let mut running = Vec::new();
    for (name, host_ip, protocol, port) in cases {
        let container = host.container(name);
        let mapping = json!({"hostPort": 8080, "containerPort": port, "protocol": protocol, "hostIP": host_ip});
        publishing_with(&host, 1, &json!({}), &json!([mapping])).add(&container, "eth0").ok();
        running.push((container.listen_tcp(port), container.listen_udp(port), container));
    }
    outside.assert_reaches_tcp("192.0.2.1:8080");
    outside.assert_reaches_tcp("192.0.2.11:8080");
    outside.assert_reaches_udp("192.0.2.11:8080");
    host.assert_reaches_tcp("127.0.0.1:8080");
}

#[test]
fn each_interface_of_a_container_publishes_its_own_ports() {
    let (host, outside) = wire();
    let web = host.container("web");
    let one = publishing(&host, 1, &[("tcp", 8081, 80)]);
    let two = publishing(&host, 2, &[("tcp", 8082, 80)]);
    host.assert_leaves_nothing(|| {
        one.add(&web, "eth0").ok();
        two.add(&web, "eth1").ok();
        let _server = web.listen_tcp(80);
        host.assert_reaches_tcp("127.0.0.1:8081");
        host.assert_reaches_tcp("127.0.0.1:8082");
        two.del(&web, "eth1").ok();
        host.assert_blocked_tcp("127.0.0.1:8082");
        host.assert_reaches_tcp("127.0.0.1:8081");
        outside.assert_reaches_tcp("192.0.2.1:8081");
        one.del(&web, "eth0").ok();
    });
}

/// One network, twice in one container.
#[test]
fn both_interfaces_in_one_network_keep_their_own_ports() {
    let host = Host::new();
    let web = host.container("web");
    let one = publishing(&host, 1, &[("tcp", 8081, 80)]);
    let two = publishing(&host, 1, &[("tcp", 8082, 80)]);
    one.add(&web, "eth0").ok();
    two.add(&web, "eth1").ok();
    let _server = web.listen_tcp(80);
    two.del(&web, "eth1").ok();
    host.assert_reaches_tcp("127.0.0.1:8081");
    host.assert_blocked_tcp("127.0.0.1:8082");
}

/// Every client gives the mappings of a container to each of its networks.
#[test]
fn a_container_s_ports_are_served_by_its_first_network_and_then_by_the_next() {
    let mappings = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8053, "containerPort": 53, "protocol": "udp"},
        {"hostPort": 8081, "containerPort": 80, "protocol": "tcp", "hostIP": "192.0.2.1"},
        {"hostPort": 8081, "containerPort": 80, "protocol": "tcp", "hostIP": "2001:db8::1"},
    ]);
    for [first, second] in [[1, 2], [1, 1]] {
        if first == second && reference_differs("it knows the network and the container, not the interface") {
            continue;
        }
        let host = Host::new();
        // The kernel adds the route some time after the address.
        host.shell(
            "ip addr add 192.0.2.1/24 dev lo; ip addr add 2001:db8::1/64 dev lo nodad
             until ip -6 route show table local dev lo | grep -q 2001:db8::1; do sleep 0.01; done",
        );
        let web = host.container("web");
        let network = |number| publishing_with(&host, number, &json!({}), &mappings);
        let networks = [(network(first), "eth0", first), (network(second), "eth1", second)];
        host.assert_leaves_nothing(|| {
            for (network, interface, _) in &networks {
                network.add(&web, interface).ok();
            }
            let _servers = (web.listen_tcp(80), web.listen_udp(53));
            for (network, interface, number) in &networks {
                assert_serves(&host, *number);
                if !is_reference() {
                    networks[1].0.check(&web, "eth1").ok();
                }
                network.del(&web, interface).ok();
            }
            host.assert_blocked_tcp("127.0.0.1:8080");
        });
    }
}

/// Each way leads to the container, in this network as far as its gateway's address tells.
#[track_caller]
fn assert_serves(host: &Host, network: u8) {
    let gateway = format!("10.{network}.0.1");
    assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), gateway);
    assert_eq!(host.assert_reaches_udp("127.0.0.1:8053").ip().to_string(), gateway);
    host.assert_reaches_tcp("192.0.2.1:8081");
    host.assert_reaches_tcp("[2001:db8::1]:8081");
}

#[test]
fn an_interface_that_waits_goes_without_a_trace() {
    let host = Host::new();
    let (web, other) = (host.container("web"), host.container("other"));
    let [one, two] = [1, 2].map(|number| publishing(&host, number, &[("tcp", 8080, 80)]));
    one.add(&web, "eth0").ok();
    let _server = web.listen_tcp(80);
    let last = two.add_all_but_last(&web, "eth1");
    for heard in [true, false] {
        host.assert_leaves_nothing(|| {
            if !heard {
                assert!(!last.run_unheard().is_ok());
                return;
            }
            last.run().ok();
            let config = json!({"name": "net2", "type": "portmap"});
            host.cni("portmap").command("DEL").container(&web).ifname("eth1").config(&config).run().ok();
        });
        host.assert_reaches_tcp("127.0.0.1:8080");
        let refused = two.add(&other, "eth0").error();
        assert!(refused.msg.contains("net1") && refused.msg.contains("web"), "{refused:?}");
        two.del(&other, "eth0").ok();
    }
}

#[test]
fn a_port_of_a_container_that_died_without_del_is_free() {
    let host = Host::new();
    let before = host.snapshot();
    let [lost, again, other] = ["lost", "again", "other"].map(|name| host.container(name));
    let with = |ports: &[(&str, u16, u16)]| publishing(&host, 1, ports);
    let first = with(&[("tcp", 8080, 80), ("udp", 8053, 53), ("tcp", 8079, 80)]);
    first.add(&lost, "eth0").ok();
    with(&[("tcp", 8081, 80)]).add(&other, "eth0").ok();
    let lost = host.lose(lost);
    let second = with(&[("tcp", 8080, 80), ("udp", 8053, 53)]);
    second.add(&again, "eth0").ok();
    let servers = (again.listen_tcp(80), again.listen_udp(53), other.listen_tcp(80));
    let served = || {
        host.assert_reaches_tcp("127.0.0.1:8080");
        host.assert_reaches_udp("127.0.0.1:8053");
        host.assert_reaches_tcp("127.0.0.1:8081");
    };
    served();
    let ruleset = host.run(["nft", "list", "ruleset"]);
    assert!(!ruleset.contains("/lost/"), "what nobody else wanted, too: {ruleset}");
    first.del(&lost, "eth0").ok();
    served();
    second.check(&again, "eth0").ok();
    drop(servers);
    second.del(&again, "eth0").ok();
    second.del(&other, "eth0").ok();
    host.shell("ip netns del again; ip netns del other");
    host.snapshot().assert_nothing_since(&before);
}

/// What its link would tell nobody knows, for instance because it lives in the container.
#[test]
fn where_death_is_no_certainty_the_error_says_how_to_free_the_port() {
    let host = Host::new();
    let web = host.container("web");
    let holder = json!({
        "name": "lan", "type": "portmap",
        "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}, {"hostPort": 8079, "containerPort": 80}]},
        "prevResult": {
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "e'0", "sandbox": "/run/netns/gone"}],
            "ips": [{"address": "192.0.2.100/24", "interface": 0}, {"address": "2001:db8::100/64", "interface": 0}]
        }
    });
    host.cni("portmap")
        .command("ADD")
        .container_id("gone")
        .netns("/run/netns/gone")
        .ifname("e'0")
        .config(&holder)
        .run()
        .ok();
    let network = publishing(&host, 1, &[("tcp", 8080, 80)]);
    let error = network.add(&web, "eth0").error();
    assert!(error.msg.contains("container gone on network lan"), "{error:?}");
    network.del(&web, "eth0").ok();
    let (_, remedy) = error.details.split_once("free its ports with: ").expect("a remedy");
    host.shell(remedy);
    assert!(!host.run(["nft", "list", "ruleset"]).contains("/gone/"));
    network.add(&web, "eth0").ok();
}

/// What the program of before this one's elements with waiting and links left in the kernel.
#[test]
fn an_older_version_s_elements_are_taken_over_with_everything() {
    let host = Host::new();
    let (web, other) = (host.container("web"), host.container("other"));
    let [one, two] = [1, 2].map(|number| publishing(&host, number, &[("tcp", 8080, 80)]));
    host.assert_leaves_nothing(|| {
        one.add(&web, "eth0").ok();
        host.run(["nft", "flush", "ruleset"]);
        host.write("/run/older", include_str!("older.nft"));
        host.run(["nft", "-f", "/run/older"]);
        one.check(&web, "eth0").ok();
        assert!(two.add(&other, "eth0").error().msg.contains("net1"));
        two.del(&other, "eth0").ok();
        two.add(&web, "eth1").ok();
        two.check(&web, "eth1").ok();
        let _server = web.listen_tcp(80);
        assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.1.0.1");
        one.del(&web, "eth0").ok();
        assert_eq!(host.assert_reaches_tcp("127.0.0.1:8080").ip().to_string(), "10.2.0.1");
        two.del(&web, "eth1").ok();
    });
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let web = host.container("web");
    let mappings = [("tcp", 8080, 80), ("udp", 8053, 53), ("sctp", 8132, 132)];
    every_plugin_rules(&publishing(&host, 1, &mappings), &web, "eth0");
}

#[test]
fn killed_at_any_change_it_leaves_nothing_after_del() {
    let host = Host::new();
    let web = host.container("web");
    let network = publishing(&host, 1, &[("tcp", 8080, 80), ("udp", 8053, 53)]);
    let last = network.add_all_but_last(&web, "eth0");
    let before = host.snapshot();
    let killed = last.killed_at_every_change(|point| {
        let config = json!({"name": "net1", "type": "portmap"});
        host.cni("portmap").command("DEL").container(&web).netns("").config(&config).run().ok();
        let leftovers = host.snapshot().leftovers(&before);
        assert!(leftovers.is_empty(), "killed at {point}: {leftovers:?}");
    });
    assert!(killed >= 3, "killed {killed} times only");
}
