//! Networks on a bridge.

use serde_json::{Value, json};
use tests::{Container, Inside as _, netavark};

use super::{container, other, web};

#[test]
fn setup_answers_with_what_the_container_has_and_teardown_leaves_nothing() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]);
    host.assert_leaves_nothing(|| {
        let answer = call.setup().ok();
        let mac = &c1.link("eth0")["address"];
        let subnets =
            json!([{"ipnet": "10.1.0.9/24", "gateway": "10.1.0.1"}, {"ipnet": "fd00:1::9/64", "gateway": "fd00:1::1"}]);
        let interfaces = json!({"eth0": {"mac_address": mac, "subnets": subnets}});
        assert_eq!(answer, json!({"web": {"dns_search_domains": [], "dns_server_ips": [], "interfaces": interfaces}}));
        assert_eq!(c1.addresses("eth0"), ["10.1.0.9/24", "fd00:1::9/64"]);
        assert_eq!(host.addresses("web"), ["10.1.0.1/24", "fd00:1::1/64"]);
        assert_eq!(call.teardown().ok(), Value::Null);
        assert_eq!(c1.links(), ["lo"]);
        assert!(!host.links().contains(&"web".to_owned()), "the bridge goes with its last container");
    });
}

#[test]
fn lo_is_up_and_addresses_and_routes_can_be_used_at_once() {
    let host = netavark::host();
    let c1 = host.container("c1");
    host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).setup().ok();
    assert!(c1.is_up("lo") && c1.is_up("eth0") && host.is_up("web"));
    assert_eq!(c1.addresses("eth0"), ["10.1.0.9/24", "fd00:1::9/64"]);
    assert!(!c1.run(["ip", "address"]).contains("tentative"));
    for (family, gateway) in [("-4", "10.1.0.1"), ("-6", "fd00:1::1")] {
        let route = &c1.ip_json([family, "route", "show", "default"])[0];
        assert_eq!((&route["gateway"], &route["metric"]), (&json!(gateway), &json!(100)), "{route}");
    }
}

#[test]
fn containers_reach_each_other_the_host_and_the_world() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    host.assert_leaves_nothing(|| {
        let calls = [(&c1, 9), (&c2, 10)].map(|(container, number)| {
            host.netavark(container).on(&web(), "eth0", &[&format!("10.1.0.{number}"), &format!("fd00:1::{number}")])
        });
        calls.iter().for_each(|call| drop(call.setup().ok()));
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        for (address, elsewhere, masqueraded) in
            [("10.1.0.9", "192.0.2.2", "192.0.2.1"), ("[fd00:1::9]", "[2001:db8::2]", "2001:db8::1")]
        {
            c2.assert_reaches_tcp(&format!("{address}:80"));
            host.assert_reaches_tcp(&format!("{address}:80"));
            assert_eq!(c1.assert_reaches_tcp(&format!("{elsewhere}:80")).ip().to_string(), masqueraded);
        }
        drop((server, way_out));
        calls[0].teardown().ok();
        assert!(host.links().contains(&"web".to_owned()), "the other one is still there");
        host.assert_pings("10.1.0.10");
        calls[1].teardown().ok();
    });
}

#[test]
fn mac_address_and_the_name_of_the_host_s_end_can_be_chosen() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let attachment = json!({
        "interface_name": "net5", "static_ips": ["10.1.0.9"], "static_mac": "92:d0:c6:0a:29:33",
        "options": {"host_interface_name": "my-veth"},
    });
    let call = host.netavark(&c1).on_with(&netavark::bridge("web", &["10.1.0.0/24"]), &attachment);
    host.assert_leaves_nothing(|| {
        let answer = call.setup().ok();
        assert_eq!(answer["web"]["interfaces"]["net5"]["mac_address"], "92:d0:c6:0a:29:33");
        assert_eq!(c1.link("net5")["address"], "92:d0:c6:0a:29:33");
        let host_end = host.link("my-veth");
        assert_eq!((&host_end["master"], &host_end["ifindex"]), (&json!("web"), &c1.link("net5")["link_index"]));
        call.teardown().ok();
    });
}

/// The link's, the container's and the bridge's.
fn mtus(host: &tests::Host, container: &Container) -> [u64; 3] {
    let ends = host.ip_json(["link", "show", "master", "web"]);
    [&container.link("eth0"), &ends[0], &host.link("web")].map(|link| link["mtu"].as_u64().unwrap())
}

#[test]
fn the_mtu_is_as_configured() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let configured = netavark::with_options(web(), &json!({"mtu": "1300"}));
    host.netavark(&c1).on(&configured, "eth0", &["10.1.0.9", "fd00:1::9"]).setup().ok();
    assert_eq!(mtus(&host, &c1), [1300; 3]);
}

/// Routes of other tables do not count.
#[test]
fn the_mtu_is_that_of_the_way_out() {
    let host = netavark::host();
    let _outside = host.neighbour();
    host.shell("ip link set uplink mtu 1400; ip route add default via 192.0.2.2");
    host.shell("ip link add other mtu 1350 up type veth; ip route add default dev other table 10");
    let c1 = container(&host, "c1");
    host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).setup().ok();
    assert_eq!(mtus(&host, &c1), [1400; 3]);
}

#[test]
fn metric_and_no_default_route_are_those_of_the_default_routes() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let defaults = || ["-4", "-6"].map(|family| c1.ip_json([family, "route", "show", "default"]));
    let setup = |options: &Value| {
        let network = netavark::with_options(web(), options);
        let call = host.netavark(&c1).on(&network, "eth0", &["10.1.0.9", "fd00:1::9"]);
        call.setup().ok();
        let found = defaults();
        call.teardown().ok();
        found
    };
    for routes in setup(&json!({"metric": "7"})) {
        assert_eq!(routes[0]["metric"], 7, "{routes}");
    }
    assert_eq!(setup(&json!({"no_default_route": "true"})), [json!([]), json!([])]);
    for routes in setup(&json!({"no_default_route": "false"})) {
        assert_eq!(routes[0]["metric"], 100, "{routes}");
    }
}

/// A second network's default routes do not replace the first one's: both have the same metric, and the kernel keeps them in
/// the order in which they came.
#[test]
fn a_container_on_two_networks_has_both() {
    let host = netavark::host();
    let outside = host.neighbour();
    let c1 = container(&host, "c1");
    let (web, other) = (web(), netavark::with_options(other(), &json!({"metric": "200"})));
    let call = host.netavark(&c1).on(&web, "eth0", &["10.1.0.9", "fd00:1::9"]);
    let call = call.on(&other, "eth1", &["10.2.0.9", "fd00:2::9"]);
    host.assert_leaves_nothing(|| {
        let answer = call.setup().ok();
        for (network, interface) in [("web", "eth0"), ("other", "eth1")] {
            assert!(answer[network]["interfaces"][interface].is_object(), "{answer}");
        }
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        for address in ["10.1.0.9", "[fd00:1::9]", "10.2.0.9", "[fd00:2::9]"] {
            host.assert_reaches_tcp(&format!("{address}:80"));
        }
        c1.assert_reaches_tcp("192.0.2.2:80");
        let metrics = c1.ip_json(["route", "show", "default"]);
        assert_eq!((&metrics[0]["metric"], &metrics[1]["metric"]), (&json!(100), &json!(200)));
        drop((server, way_out));
        call.teardown().ok();
    });
}

/// As `podman network connect` and `disconnect` do it.
#[test]
fn networks_come_and_go_one_by_one() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let first = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]);
    let second = host.netavark(&c1).on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]);
    let second = second.with("container_hostname", &json!(""));
    host.assert_leaves_nothing(|| {
        first.setup().ok();
        host.assert_leaves_nothing(|| {
            second.setup().ok();
            host.assert_pings("10.2.0.9");
            second.teardown().ok();
            assert!(!host.links().contains(&"other".to_owned()), "its bridge has gone too");
        });
        host.assert_pings("10.1.0.9");
        first.teardown().ok();
    });
}

#[test]
fn an_internal_network_has_no_way_out() {
    let host = netavark::host();
    let outside = host.neighbour();
    let (c1, c2) = (container(&host, "c1"), container(&host, "c2"));
    let mut internal = web();
    internal["internal"] = json!(true);
    host.assert_leaves_nothing(|| {
        let calls = [(&c1, 9), (&c2, 10)].map(|(container, number)| {
            let addresses = [format!("10.1.0.{number}"), format!("fd00:1::{number}")];
            host.netavark(container).on(&internal, "eth0", &[&addresses[0], &addresses[1]])
        });
        calls.iter().for_each(|call| drop(call.setup().ok()));
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        host.assert_reaches_tcp("192.0.2.2:80");
        c2.assert_reaches_tcp("10.1.0.9:80");
        c2.assert_reaches_tcp("[fd00:1::9]:80");
        for (default, elsewhere) in [("0.0.0.0/0", "192.0.2.2"), ("::/0", "[2001:db8::2]")] {
            c1.assert_blocked_tcp(&format!("{elsewhere}:80"));
            // Nor does a route help.
            let gateway = if default.contains(':') { "fd00:1::1" } else { "10.1.0.1" };
            c1.run(["ip", "route", "add", default, "via", gateway]);
            c1.assert_blocked_tcp(&format!("{elsewhere}:80"));
        }
        drop((server, way_out));
        calls.iter().for_each(|call| drop(call.teardown().ok()));
    });
}

/// The administrator's bridge leads to the wire; its addresses are nobody's business.
#[test]
fn an_unmanaged_bridge_stays_as_it_is() {
    let host = netavark::host();
    let outside = host.neighbour();
    host.shell(
        "ip link add name lan type bridge
         ip link set lan up
         ip link set uplink master lan
         ip addr flush dev uplink
         ip addr add 192.0.2.1/24 dev lan",
    );
    let c1 = container(&host, "c1");
    let mut network = netavark::with_options(netavark::on_the_wire("bridge", "lan"), &json!({"mode": "unmanaged"}));
    network["network_interface"] = json!("lan");
    let call = host.netavark(&c1).on(&network, "eth0", &["192.0.2.9", "2001:db8::9"]);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        assert_eq!(host.addresses("lan"), ["192.0.2.1/24"]);
        let (server, way_out) = (c1.listen_tcp(80), outside.listen_tcp(80));
        outside.assert_reaches_tcp("192.0.2.9:80");
        outside.assert_reaches_tcp("[2001:db8::9]:80");
        assert_eq!(c1.assert_reaches_tcp("192.0.2.2:80").ip().to_string(), "192.0.2.9");
        assert_eq!(host.read("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
        drop((server, way_out));
        call.teardown().ok();
        assert!(host.links().contains(&"lan".to_owned()));
    });
}

#[test]
fn an_unmanaged_bridge_has_to_be_there() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(
        &netavark::with_options(web(), &json!({"mode": "unmanaged"})),
        "eth0",
        &["10.1.0.9", "fd00:1::9"],
    );
    let error = host.assert_leaves_nothing(|| call.setup().error());
    assert!(error.contains("web"), "{error}");
    assert!(error.contains("unmanaged"), "{error}");
}

#[test]
fn the_address_that_containers_have_outside_can_be_chosen() {
    let host = netavark::host();
    let outside = host.neighbour();
    host.shell("ip addr add 192.0.2.77/24 dev uplink; ip addr add 2001:db8::77/64 dev uplink nodad");
    let c1 = container(&host, "c1");
    let options = json!({"outbound_addr4": "192.0.2.77", "outbound_addr6": "2001:db8::77"});
    let call = host.netavark(&c1).on(&netavark::with_options(web(), &options), "eth0", &["10.1.0.9", "fd00:1::9"]);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        let server = outside.listen_tcp(80);
        for (elsewhere, chosen) in [("192.0.2.2", "192.0.2.77"), ("[2001:db8::2]", "2001:db8::77")] {
            assert_eq!(c1.assert_reaches_tcp(&format!("{elsewhere}:80")).ip().to_string(), chosen);
        }
        drop(server);
        call.teardown().ok();
    });
}

#[test]
fn teardown_works_when_the_namespace_is_gone() {
    let host = netavark::host();
    let before = host.snapshot();
    let c1 = container(&host, "c1");
    host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80).setup().ok();
    let c1 = host.lose(c1);
    host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80).teardown().ok();
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn a_second_teardown_finds_nothing_to_do() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        call.teardown().ok();
        call.teardown().ok();
    });
}

/// Somebody has deleted the link.
#[test]
fn teardown_goes_on_past_what_is_gone() {
    let host = netavark::host();
    let c1 = container(&host, "c1");
    let call = host.netavark(&c1).on(&web(), "eth0", &["10.1.0.9", "fd00:1::9"]).port("tcp", 8080, 80);
    let call = call.on(&other(), "eth1", &["10.2.0.9", "fd00:2::9"]);
    host.assert_leaves_nothing(|| {
        call.setup().ok();
        c1.run(["ip", "link", "del", "eth0"]);
        c1.run(["ip", "link", "del", "eth1"]);
        call.teardown().ok();
    });
}
