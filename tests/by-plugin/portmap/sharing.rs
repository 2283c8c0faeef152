//! Who has a port, when several want it.

use serde_json::json;
use tests::{Host, Inside as _, every_plugin_rules, reference_differs, wire};

use super::{publishing, publishing_with};

const LAST_RULE_WINS: &str = "it does not know who has a port: the first rule wins";

#[test]
fn the_second_to_ask_for_a_port_is_told_who_has_it() {
    if reference_differs(LAST_RULE_WINS) {
        return;
    }
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
    if reference_differs(LAST_RULE_WINS) {
        return;
    }
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
    if reference_differs("it knows the network and the container, not the interface") {
        return;
    }
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

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    let web = host.container("web");
    let mappings = [("tcp", 8080, 80), ("udp", 8053, 53), ("sctp", 8132, 132)];
    every_plugin_rules(&publishing(&host, 1, &mappings), &web, "eth0");
}

#[test]
fn killed_at_any_change_it_leaves_nothing_after_del() {
    if reference_differs("it needs the result of ADD to find what it made") {
        return;
    }
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
