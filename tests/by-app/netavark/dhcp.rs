//! Addresses of a DHCP server, whose leases `netavark dhcp-proxy` keeps, which is the daemon of the plugin `dhcp`.

use serde_json::{Value, json};
use tests::{Background, Host, Inside as _, dhcp, netavark};

use super::container;

/// A host with a daemon, and a wire to a server.
fn wire() -> (Host, Host, [Background; 2]) {
    let host = netavark::host();
    host.run(["mkdir", "-p", "/run/podman"]);
    let outside = host.neighbour();
    let range = "--dhcp-range=192.0.2.50,192.0.2.90,255.255.255.0,1h";
    let server =
        dhcp::start_server_on(&outside, "uplink", &[range, "--dhcp-option=3,192.0.2.2", "--dhcp-option=6,192.0.2.53"]);
    dhcp::wait_for_server(&outside);
    let daemon = host.spawn([netavark::folder().join("netavark").as_os_str(), "dhcp-proxy".as_ref()]);
    host.shell("until [ -S /run/cni/dhcp.sock ] || [ -S /run/podman/nv-proxy.sock ]; do sleep 0.02; done");
    (host, outside, [server, daemon])
}

/// The network without subnets, as Podman writes it.
fn leased(mut network: Value) -> Value {
    network["subnets"] = json!(null);
    network["ipv6_enabled"] = json!(false);
    network["ipam_options"] = json!({"driver": "dhcp"});
    network
}

#[track_caller]
fn comes_and_goes(host: &Host, outside: &Host, network: &Value) {
    let c1 = container(host, "c1");
    let call = host.netavark(&c1).on(network, "eth0", &[]).with("container_hostname", &json!("shop"));
    host.assert_leaves_nothing(|| {
        let answer = call.setup().ok()["lan"].clone();
        let [lease] = &dhcp::leases(outside)[..] else { panic!("{answer}") };
        let subnet = &answer["interfaces"]["eth0"]["subnets"][0];
        let (address, prefix) = subnet["ipnet"].as_str().unwrap().split_once('/').unwrap();
        assert!(lease.contains(&format!(" {address} shop ")), "{lease}: {answer}");
        assert_eq!((prefix, &subnet["gateway"]), ("24", &json!("192.0.2.2")), "{answer}");
        assert_eq!(answer["dns_server_ips"], json!(["192.0.2.53"]), "{answer}");
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        outside.assert_reaches_tcp(&format!("{address}:80"));
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), address);
        let route = &c1.ip_json(["route", "show", "default"])[0];
        assert_eq!((&route["gateway"], &route["metric"]), (&json!("192.0.2.2"), &json!(100)));
        drop((server, way_out));
        call.teardown().ok();
        dhcp::eventually("the lease is given back", || dhcp::leases(outside).is_empty());
    });
}

#[test]
fn a_macvlan_network_has_addresses_of_the_wire() {
    let (host, outside, _programs) = wire();
    comes_and_goes(&host, &outside, &leased(netavark::on_the_wire("macvlan", "lan")));
}

#[test]
fn an_unmanaged_bridge_has_addresses_of_the_wire() {
    let (host, outside, _programs) = wire();
    host.shell(
        "ip link add name lan type bridge
         ip link set lan up
         ip link set uplink master lan
         ip addr flush dev uplink
         ip addr add 192.0.2.1/24 dev lan",
    );
    let mut network = netavark::with_options(netavark::on_the_wire("bridge", "lan"), &json!({"mode": "unmanaged"}));
    network["network_interface"] = json!("lan");
    comes_and_goes(&host, &outside, &leased(network));
}

#[test]
fn without_the_daemon_it_is_said_what_to_do() {
    let (host, _outside, [_server, daemon]) = wire();
    drop(daemon);
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&leased(netavark::on_the_wire("macvlan", "lan")), "eth0", &[]);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(
        error.contains("netavark-dhcp-proxy") || error.contains("dhcp daemon") || error.contains("cni-dhcp"),
        "{error}"
    );
}

#[test]
fn a_bridge_without_a_wire_has_no_server() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&leased(netavark::bridge("lan", &[])), "eth0", &[]);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("unmanaged"), "{error}");
}
