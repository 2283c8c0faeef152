//! CHECK, STATUS, and the reference in our place or before us.

use serde_json::{Value, json};
use tests::{Cni, Container, Host, Inside as _};

use super::{config, host_end, ipam, network, other_end};

const REFERENCE: &str = "/usr/lib/cni/bridge";

fn keys() -> Value {
    json!({"vlan": 100, "isGateway": true, "ipMasq": true, "ipam": ipam(10)})
}

fn call<'h>(host: &'h Host, program: &str, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni(program).command(verb).container(container).config(config)
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, "net", &keys());
    let result = network.add(&c1, "eth0").ok();
    let (end, port) = (host_end(&result), other_end(&host, "br0.100"));
    let port_of_container = format!("VLANs of bridge port {end} differs: expected 100 pvid untagged, found");
    let port_of_gateway = format!("VLANs of bridge port {port} differs: expected 100 pvid untagged, found");
    let cases = [
        (
            "bridge vlan del dev $END vid 100",
            "bridge vlan add dev $END vid 100 pvid untagged",
            vec![&*port_of_container, "none"],
        ),
        (
            "bridge vlan add dev $END vid 100",
            "bridge vlan add dev $END vid 100 pvid untagged",
            vec![&port_of_container, "100"],
        ),
        (
            "bridge vlan add dev $END vid 7-9",
            "bridge vlan del dev $END vid 7-9",
            vec![&port_of_container, "7-9, 100 pvid untagged"],
        ),
        (
            "bridge vlan add dev $PORT vid 7",
            "bridge vlan del dev $PORT vid 7",
            vec![&port_of_gateway, "7, 100 pvid untagged"],
        ),
        (
            "ip link set br0.100 down",
            "ip link set br0.100 up; ip addr add fd00:1::1/64 dev br0.100 nodad",
            vec!["gateway br0.100 in VLAN 100", "expected up, found down"],
        ),
        (
            "ip link set $PORT down",
            "ip link set $PORT up",
            vec!["gateway br0.100 in VLAN 100", "its other end up, found down"],
        ),
        (
            "ip addr del 10.1.0.1/24 dev br0.100",
            "ip addr add 10.1.0.1/24 dev br0.100",
            vec!["gateway address of br0.100", "expected 10.1.0.1/24"],
        ),
        (
            "ip link set br0 type bridge vlan_filtering 0",
            "ip link set br0 type bridge vlan_filtering 1",
            vec!["br0 does not filter VLANs"],
        ),
        (
            "ip link set $PORT nomaster",
            "ip link set $PORT master br0",
            vec!["gateway br0.100", "a pair with a port of br0"],
        ),
        ("ip link del br0.100", "true", vec!["gateway br0.100", "no such link"]),
    ];
    for (harm, repair, words) in cases {
        network.check(&c1, "eth0").ok();
        host.shell(&format!("END={end} PORT={port}; {harm}"));
        let error = network.check(&c1, "eth0").error();
        let told = words.iter().all(|word| error.msg.contains(word));
        assert!(told, "{harm}: {error:?}, should say {words:?}");
        host.shell(&format!("END={end} PORT={port}; {repair}"));
        if harm.contains("nomaster") {
            host.shell(&format!("bridge vlan del dev {port} vid 1; bridge vlan add dev {port} vid 100 pvid untagged"));
        }
    }
}

#[test]
fn status_makes_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, "net", &keys());
    host.assert_leaves_nothing(|| network.status().ok());
    network.add(&c1, "eth0").ok();
    host.assert_leaves_nothing(|| network.status().ok());
}

/// On a node whose containers run, either suite may take the other's place.
#[test]
fn the_reference_and_we_share_bridge_gateway_and_attachments() {
    // What either keeps in the packet filter, the other does not know.
    let mut config = config(&json!({"vlan": 100, "isGateway": true, "ipam": ipam(10)}));
    config["cniVersion"] = json!("1.0.0");
    for (first, second) in [(REFERENCE, "bridge"), ("bridge", REFERENCE)] {
        let host = Host::new();
        let [c1, c2, other] = ["c1", "c2", "other"].map(|name| host.container(name));
        network(&host, "other", &json!({"vlan": 200, "ipam": ipam(30)})).add(&other, "eth0").ok();
        let add = |program, container| call(&host, program, "ADD", container, &config).run().ok();
        let results = [add(first, &c1), add(second, &c2)];
        // This version of the reference makes the gateway's link without setting it up.
        host.shell("ip link set br0.100 up");
        let _server = c1.listen_tcp(80);
        for server in ["10.1.0.10:80", "[fd00:1::10]:80"] {
            c2.assert_reaches_tcp(server);
            other.assert_blocked_tcp(server);
        }
        for (container, result, checker) in [(&c1, &results[0], second), (&c2, &results[1], first)] {
            container.assert_pings("10.1.0.1");
            let mut config = config.clone();
            config["prevResult"] = result.clone();
            call(&host, checker, "CHECK", container, &config).run().ok();
            call(&host, checker, "DEL", container, &config).run().ok();
            assert!(!host.try_run(["ip", "link", "show", host_end(result)]).status.success());
        }
    }
}
