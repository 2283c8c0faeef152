//! Containers as machines of the host's own network.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, netavark};

use super::container;

fn lan(options: &Value) -> Value {
    netavark::with_options(netavark::on_the_wire("macvlan", "lan"), options)
}

/// A host with a wire to another machine.
fn wire() -> (Host, Host) {
    let host = netavark::host();
    let outside = host.neighbour();
    (host, outside)
}

/// Its kind and mode.
#[track_caller]
fn mode(container: &Container) -> String {
    let link = container.link("eth0");
    assert_eq!(link["linkinfo"]["info_kind"], "macvlan", "{link}");
    link["linkinfo"]["info_data"]["mode"].as_str().unwrap().to_owned()
}

#[test]
fn a_container_is_a_machine_on_the_wire() {
    let (host, outside) = wire();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let attachment = json!({
        "interface_name": "eth0", "static_ips": ["192.0.2.100", "2001:db8::100"], "static_mac": "92:d0:c6:0a:29:33",
    });
    let first = host.netavark(&c1).on_with(&lan(&json!({})), &attachment);
    let second = host.netavark(&c2).on(&lan(&json!({})), "eth0", &["192.0.2.101", "2001:db8::101"]);
    host.assert_leaves_nothing(|| {
        let answer = first.setup().ok();
        second.setup().ok();
        let subnets = json!([
            {"ipnet": "192.0.2.100/24", "gateway": "192.0.2.2"}, {"ipnet": "2001:db8::100/64", "gateway": "2001:db8::2"},
        ]);
        let interfaces = json!({"eth0": {"mac_address": "92:d0:c6:0a:29:33", "subnets": subnets}});
        assert_eq!(answer, json!({"lan": {"dns_search_domains": [], "dns_server_ips": [], "interfaces": interfaces}}));
        assert_eq!((mode(&c1), &c1.link("eth0")["address"]), ("bridge".to_owned(), &json!("92:d0:c6:0a:29:33")));
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        for address in ["192.0.2.100", "[2001:db8::100]"] {
            c2.assert_reaches_tcp(&format!("{address}:80"));
            outside.assert_reaches_tcp(&format!("{address}:80"));
        }
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.100");
        let route = &c1.ip_json(["route", "show", "default"])[0];
        assert_eq!((&route["gateway"], &route["metric"]), (&json!("192.0.2.2"), &json!(100)));
        drop((server, way_out));
        first.teardown().ok();
        second.teardown().ok();
    });
}

#[test]
fn its_options_are_the_link_s() {
    let (host, _outside) = wire();
    let c1 = container(&host, "c1");
    let look = |options: &Value, look: &dyn Fn()| {
        let call = host.netavark(&c1).on(&lan(options), "eth0", &["192.0.2.100", "2001:db8::100"]);
        call.setup().ok();
        look();
        call.teardown().ok();
    };
    for name in ["bridge", "private", "vepa", "passthru"] {
        look(&json!({"mode": name}), &|| assert_eq!(mode(&c1), name));
    }
    look(&json!({"mtu": "1400"}), &|| assert_eq!(c1.link("eth0")["mtu"], 1400));
    look(&json!({"metric": "7"}), &|| {
        for family in ["-4", "-6"] {
            assert_eq!(c1.ip_json([family, "route", "show", "default"])[0]["metric"], 7);
        }
    });
    look(&json!({"no_default_route": "true"}), &|| {
        assert_eq!(c1.ip_json(["route", "show", "default"]), json!([]));
    });
    // ip(8) of Debian 12 does not show it.
    look(&json!({"bclim": "5"}), &|| assert_eq!(mode(&c1), "bridge"));
}

#[test]
fn without_a_parent_it_is_the_link_of_the_default_route() {
    let (host, outside) = wire();
    let c1 = container(&host, "c1");
    host.shell("ip link add other up type veth; ip route add default via 192.0.2.2");
    let mut network = lan(&json!({}));
    network.as_object_mut().unwrap().remove("network_interface");
    let call = host.netavark(&c1).on(&network, "eth0", &["192.0.2.100", "2001:db8::100"]);
    call.setup().ok();
    outside.assert_pings("192.0.2.100");
    call.teardown().ok();
    host.shell("ip route del default");
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("default route"), "{error}");
}

#[test]
fn a_parent_that_is_not_there_is_named() {
    let (host, _outside) = wire();
    let c1 = container(&host, "c1");
    let mut network = lan(&json!({}));
    network["network_interface"] = json!("nowhere");
    let call = host.netavark(&c1).on(&network, "eth0", &["192.0.2.100", "2001:db8::100"]);
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn wrong_values_are_named() {
    let (host, _outside) = wire();
    let c1 = container(&host, "c1");
    for (option, value) in [("mode", "sideways"), ("mtu", "many"), ("metric", "low"), ("bclim", "much")] {
        let call = host.netavark(&c1).on(&lan(&json!({option: value})), "eth0", &["192.0.2.100", "2001:db8::100"]);
        let error = host.assert_leaves_nothing(|| call.setup().error());
        assert!(error.contains(option) || error.contains(value), "{option}: {error}");
    }
}

/// Ports are of no use there, but Podman passes them on.
#[test]
fn ports_do_no_harm() {
    let (host, outside) = wire();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&lan(&json!({})), "eth0", &["192.0.2.100", "2001:db8::100"]).port("tcp", 8080, 80);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        outside.assert_pings("192.0.2.100");
        call.teardown().ok();
    });
}
