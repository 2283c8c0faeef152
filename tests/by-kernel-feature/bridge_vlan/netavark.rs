//! Networks of `netavark` in a VLAN of their bridge: the option `vlan`.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, netavark};

use super::vlans;

/// A network on the bridge `br0`, in that VLAN.
fn network(name: &str, subnet: &str, options: &Value) -> Value {
    let mut network = netavark::with_options(netavark::bridge(name, &[subnet]), options);
    network["network_interface"] = json!("br0");
    network
}

fn container(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    container.run(["ip", "link", "set", "lo", "up"]);
    container
}

/// The only port that leads into a container.
fn port(host: &Host) -> String {
    let ports = host.ip_json(["-d", "link", "show", "master", "br0"]);
    let is_its = |port: &&Value| port["link_netnsid"].is_u64() && port["ifname"] != "uplink";
    let into_containers = ports.as_array().unwrap().iter().filter(is_its);
    let [port] = into_containers.collect::<Vec<_>>()[..] else { panic!("{ports}") };
    port["ifname"].as_str().unwrap().to_owned()
}

#[test]
fn netavark_s_networks_share_a_bridge_and_no_vlan() {
    let host = netavark::host();
    let outside = host.neighbour();
    let [c1, c2, c3] = ["c1", "c2", "c3"].map(|name| container(&host, name));
    let red = network("red", "10.1.0.0/24", &json!({"vlan": "100"}));
    let blue = network("blue", "10.2.0.0/24", &json!({"vlan": "200"}));
    let calls = [
        host.netavark(&c1).on(&red, "eth0", &["10.1.0.9"]).port("tcp", 8080, 80),
        host.netavark(&c2).on(&red, "eth0", &["10.1.0.8"]),
        host.netavark(&c3).on(&blue, "eth0", &["10.2.0.9"]),
    ];
    host.assert_leaves_nothing(|| {
        calls[0].setup().ok();
        assert_eq!(vlans(&host, &port(&host)), "100 pvid untagged");
        calls[1..].iter().for_each(|call| drop(call.setup().ok()));
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        c2.assert_reaches_tcp("10.1.0.9:80");
        // On its own, without the host between them.
        c3.shell("ip addr add 10.1.0.7/24 dev eth0");
        c3.assert_blocked_tcp("10.1.0.9:80");
        c3.shell("ip addr del 10.1.0.7/24 dev eth0");
        if !tests::reference_differs("the host is in no VLAN, and no gateway") {
            c2.assert_reaches_tcp("192.0.2.2:80");
            c3.assert_reaches_tcp("192.0.2.2:80");
            outside.assert_reaches_tcp("192.0.2.1:8080");
        }
        drop((server, way_out));
        calls.iter().for_each(|call| drop(call.teardown().ok()));
    });
}

#[test]
fn an_unmanaged_bridge_leads_into_a_vlan_of_the_wire() {
    let host = netavark::host();
    let outside = host.neighbour();
    host.shell(
        "ip link add name br0 type bridge vlan_filtering 1
         ip link set br0 up
         ip addr flush dev uplink
         ip link set uplink master br0
         bridge vlan add dev uplink vid 100",
    );
    outside.shell(
        "ip link add link uplink name uplink.100 type vlan id 100
         ip addr add 10.1.0.2/24 dev uplink.100
         ip link set uplink.100 up",
    );
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(
        &network("lan", "10.1.0.0/24", &json!({"mode": "unmanaged", "vlan": "100"})),
        "eth0",
        &["10.1.0.9"],
    );
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        assert_eq!(vlans(&host, &port(&host)), "100 pvid untagged");
        outside.assert_pings("10.1.0.9");
        call.teardown().ok();
    });
}
