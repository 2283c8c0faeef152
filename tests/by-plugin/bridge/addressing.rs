//! Gateways, routes, IPv6, neighbours.

use serde_json::{Value, json};
use tests::{Capture, Cni, Container, Host, Inside as _, bin_dir, reference_differs, wire};

use super::{addresses, call, config, dual_stack, gateway, host_end, ipam, ipv4, link, mac, network, sysctl};

/// An IPAM plugin that answers ADD with what a file says.
const ORACLE: &str = "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || cat /run/answer\n";

/// ADD on a network whose IPAM plugin gives this result.
fn add_with_answer<'h>(host: &'h Host, container: &Container, keys: &Value, answer: &Value) -> Cni<'h> {
    host.write("/run/plugins/oracle", ORACLE);
    host.shell("chmod +x /run/plugins/oracle");
    let mut answer = answer.clone();
    answer["cniVersion"] = json!("1.0.0");
    host.write("/run/answer", answer.to_string());
    let mut config = config(keys);
    config["cniVersion"] = json!("1.0.0");
    config["ipam"] = json!({"type": "oracle"});
    call(host, "ADD", container, &config).path(&format!("/run/plugins:{}", bin_dir().display()))
}

/// The routes of a container's main table, but those of its addresses: `destination via gateway`.
fn routes(container: &Container) -> Vec<String> {
    let mut found = Vec::new();
    for family in ["-4", "-6"] {
        let routes = container.ip_json([family, "route", "show", "dev", "eth0"]);
        let chosen = routes.as_array().unwrap().iter().filter(|route| route["protocol"] != "kernel");
        found.extend(chosen.map(|r| format!("{} via {}", r["dst"].as_str().unwrap(), r["gateway"].as_str().unwrap())));
    }
    found
}

#[test]
fn a_gateway_has_the_address_that_ipam_names_with_the_subnet_s_prefix() {
    let host = Host::new();
    let c1 = host.container("c1");
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24", "gateway": "10.1.0.254"}]]});
    network(&host, &gateway(&ipam)).add(&c1, "eth0").ok();
    assert_eq!(addresses(&host, "br0"), ["10.1.0.254/24"]);
    assert_eq!(addresses(&c1, "eth0"), ["10.1.0.1/24"]);
    assert_eq!(routes(&c1), [""; 0], "a gateway is not yet the default gateway");
    c1.assert_pings("10.1.0.254");
}

#[test]
fn a_gateway_that_ipam_does_not_name_is_the_subnet_s_first_address() {
    let host = Host::new();
    let c1 = host.container("c1");
    let answer = json!({"ips": [{"address": "10.1.0.9/24"}, {"address": "fd00:1::9/64"}]});
    let result = add_with_answer(&host, &c1, &json!({"isDefaultGateway": true}), &answer).run().ok();
    assert_eq!((&result["ips"][0]["gateway"], &result["ips"][1]["gateway"]), (&json!("10.1.0.1"), &json!("fd00:1::1")));
    assert_eq!(addresses(&host, "br0"), ["10.1.0.1/24", "fd00:1::1/64"]);
    assert_eq!(routes(&c1), ["default via 10.1.0.1", "default via fd00:1::1"]);
}

/// "0.0.0.0" is how some write that there is none: the bridge has no IPv4 address then, and CHECK misses none.
#[test]
fn a_gateway_of_zeroes_is_no_address_of_the_bridge() {
    let host = Host::new();
    let c1 = host.container("c1");
    let answer = json!({"ips": [{"address": "10.1.0.9/24", "gateway": "0.0.0.0"}]});
    let keys = json!({"isGateway": true});
    let result = add_with_answer(&host, &c1, &keys, &answer).run().ok();
    assert_eq!(addresses(&host, "br0"), [""; 0]);
    let mut config = config(&keys);
    config["cniVersion"] = json!("1.0.0");
    config["ipam"] = json!({"type": "oracle"});
    config["prevResult"] = result;
    let path = format!("/run/plugins:{}", bin_dir().display());
    call(&host, "CHECK", &c1, &config).path(&path).run().ok();
}

/// The commonest router of IPv6 there is. Every bridge has a link-local address besides.
#[test]
fn a_gateway_may_be_link_local() {
    let host = Host::new();
    for (name, address) in [("c1", "fd00:1::8/64"), ("c2", "fd00:1::9/64")] {
        let container = host.container(name);
        let answer = json!({"ips": [{"address": address, "gateway": "fe80::1"}]});
        add_with_answer(&host, &container, &json!({"isDefaultGateway": true}), &answer).run().ok();
        container.shell("ping -n -c1 -w5 fe80::1%eth0");
        assert_eq!(routes(&container), ["default via fe80::1"]);
    }
    let own = host.shell("ip -6 -o address show dev br0 scope link");
    assert_eq!(own.lines().count(), 2, "{own}");
}

#[test]
fn a_bridge_that_is_no_gateway_gets_no_address_and_forwards_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"ipam": dual_stack()})).add(&c1, "eth0").ok();
    assert_eq!(addresses(&host, "br0"), [""; 0]);
    assert_eq!(addresses(&c1, "eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    assert!(result.get("routes").is_none(), "{result}");
    assert_eq!((sysctl(&host, "ipv4/ip_forward"), sysctl(&host, "ipv6/conf/all/forwarding")), ("0".into(), "0".into()));
}

#[test]
fn is_default_gateway_adds_one_route_for_each_family() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()}));
    let result = network.add(&c1, "eth0").ok();
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00:1::1"}]));
    assert_eq!(routes(&c1), ["default via 10.1.0.1", "default via fd00:1::1"]);
}

#[test]
fn a_default_route_of_ipam_s_stays_the_only_one() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut ipam = dual_stack();
    ipam["routes"] = json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.77"}]);
    network(&host, &json!({"isDefaultGateway": true, "ipam": ipam})).add(&c1, "eth0").ok();
    assert_eq!(routes(&c1), ["default via 10.1.0.77", "default via fd00:1::1"]);
}

#[test]
fn forwarding_is_enabled_for_the_families_that_have_a_gateway() {
    for (subnet, expected) in [("10.1.0.0/24", ("1", "0")), ("fd00:1::/64", ("0", "1"))] {
        let host = Host::new();
        let c1 = host.container("c1");
        network(&host, &gateway(&ipam(&[subnet]))).add(&c1, "eth0").ok();
        let found = (sysctl(&host, "ipv4/ip_forward"), sysctl(&host, "ipv6/conf/all/forwarding"));
        assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{subnet}");
    }
}

#[test]
fn another_ipv4_gateway_needs_force_address() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network(&host, &gateway(&ipv4())).add(&c1, "eth0").ok();
    let other = |force: bool| {
        let keys = json!({"isGateway": true, "forceAddress": force, "ipam": ipam(&["10.2.0.0/24"])});
        host.chain(&json!({"name": "other", "plugins": [config(&keys)]})).add(&c2, "eth0")
    };
    if reference_differs("it leaves its veth and its reservation behind") {
        assert!(!other(false).is_ok());
        return;
    }
    let error = host.assert_leaves_nothing(|| other(false).error());
    assert_eq!(error.code, 7, "{error:?}");
    assert!(["br0", "10.1.0.1/24", "10.2.0.1/24", "forceAddress"].iter().all(|w| error.msg.contains(w)), "{error:?}");
    other(true).ok();
    assert_eq!(addresses(&host, "br0"), ["10.2.0.1/24"]);
    c2.assert_pings("10.2.0.1");
}

#[test]
fn a_second_network_adds_its_ipv6_subnet_to_the_same_bridge() {
    let host = Host::new();
    let (c1, c2, c3) = (host.container("c1"), host.container("c2"), host.container("c3"));
    let on =
        |name: &str, subnet: &str| host.chain(&json!({"name": name, "plugins": [config(&gateway(&ipam(&[subnet])))]}));
    on("one", "fd00:1::/64").add(&c1, "eth0").ok();
    on("two", "fd00:2::/64").add(&c2, "eth0").ok();
    assert_eq!(addresses(&host, "br0"), ["fd00:2::1/64", "fd00:1::1/64"]);
    let error = on("three", "fd00:1::/48").add(&c3, "eth0").error();
    let names_both = error.msg.contains("fd00:1::1/64") && error.msg.contains("fd00:1::1/48");
    assert!(names_both || reference_differs("other words"), "{error:?}");
}

#[test]
fn routes_have_the_attributes_that_ipam_gave_them() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut ipam = dual_stack();
    ipam["routes"] = json!([
        {"dst": "10.8.0.0/16", "mtu": 1300, "advmss": 1200, "priority": 50},
        {"dst": "fd08::/32", "gw": "fd00:1::7", "mtu": 1310, "advmss": 1210, "priority": 51},
        {"dst": "10.9.0.0/16", "table": 77},
        {"dst": "10.10.0.0/16", "scope": 253}
    ]);
    let add = network(&host, &gateway(&ipam)).add(&c1, "eth0");
    if reference_differs("this version knows none of them") {
        return;
    }
    let result = add.ok();
    assert_eq!(result["routes"][0]["advmss"], 1200, "{result}");
    let route =
        |family: &str, dst: &str, table: &str| c1.ip_json([family, "route", "show", dst, "table", table])[0].clone();
    let metric = |route: &Value, key: &str| route["metrics"][0][key].clone();
    let four = route("-4", "10.8.0.0/16", "main");
    assert_eq!((metric(&four, "mtu"), metric(&four, "advmss")), (json!(1300), json!(1200)), "{four}");
    assert_eq!((&four["gateway"], &four["metric"]), (&json!("10.1.0.1"), &json!(50)), "{four}");
    let six = route("-6", "fd08::/32", "main");
    assert_eq!((metric(&six, "mtu"), metric(&six, "advmss")), (json!(1310), json!(1210)), "{six}");
    assert_eq!((&six["gateway"], &six["metric"]), (&json!("fd00:1::7"), &json!(51)), "{six}");
    assert_eq!(route("-4", "10.9.0.0/16", "77")["gateway"], "10.1.0.1");
    let on_link = route("-4", "10.10.0.0/16", "main");
    assert_eq!((&on_link["scope"], &on_link["gateway"]), (&json!("link"), &Value::Null), "{on_link}");
}

/// The first packet, at once: nobody waits for duplicate address detection, or for a port to come up.
#[test]
fn both_families_work_when_add_returns() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let (_host, _c1, _c2) = (host.listen_tcp(80), c1.listen_tcp(80), c2.listen_tcp(80));
    let network = network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    c1.connect_tcp("[fd00:1::1]:80").unwrap();
    host.connect_tcp("[fd00:1::2]:80").unwrap();
    c1.connect_tcp("10.1.0.1:80").unwrap();
    network.add(&c2, "eth0").ok();
    host.connect_tcp("10.1.0.3:80").unwrap();
    c2.connect_tcp("[fd00:1::2]:80").unwrap();
    c1.connect_tcp("[fd00:1::3]:80").unwrap();
}

#[test]
fn duplicate_address_detection_is_off_unless_asked_for() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    network(&host, &gateway(&dual_stack())).add(&c1, "eth0").ok();
    assert_eq!(sysctl(&c1, "ipv4/conf/eth0/arp_notify"), "1");
    if reference_differs("this version has not got the key") {
        return;
    }
    assert_eq!(sysctl(&c1, "ipv6/conf/eth0/accept_dad"), "0");
    let mut keys = gateway(&dual_stack());
    keys["enabledad"] = json!(true);
    network(&host, &keys).add(&c2, "eth0").ok();
    assert_eq!(sysctl(&c2, "ipv6/conf/eth0/accept_dad"), "1");
    let tentative = c2.ip_json(["-6", "address", "show", "dev", "eth0", "tentative"]).to_string();
    assert!(!tentative.contains("fd00:1::3"), "ADD waits for the outcome: {tentative}");
}

/// While its link-local address is tentative, the host forwards nothing to a container that it has not heard of.
#[test]
fn a_new_bridge_forwards_ipv6_at_once() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()})).add(&c1, "eth0").ok();
    host.assert_ipv6_is_usable("br0");
    outside.shell("ip route add fd00:1::/64 via 2001:db8::1");
    outside.assert_pings("fd00:1::2");
}

#[test]
fn enabledad_notices_an_address_that_somebody_has_already() {
    let host = Host::new();
    let (rival, c1) = (host.container("rival"), host.container("c1"));
    host.shell(
        "ip link add br0 up type bridge
         ip link add v0 master br0 up type veth peer name eth0 netns rival",
    );
    rival.shell("ip addr add fd00:1::2/64 dev eth0 nodad; ip link set eth0 up");
    let network = network(&host, &json!({"enabledad": true, "ipam": ipam(&["fd00:1::/64"])}));
    let error = host.assert_leaves_nothing(|| network.add(&c1, "eth0").error());
    assert!(format!("{} {}", error.msg, error.details).contains("fd00:1::2"), "{error:?}");
}

/// An address that was another container's a moment ago: everybody on the link knows the new one's hardware address
/// before ADD returns, and nobody has to ask.
#[test]
fn neighbours_learn_at_once_who_has_an_address_now() {
    let host = Host::new();
    let (neighbour, old, new) = (host.container("neighbour"), host.container("old"), host.container("new"));
    network(&host, &gateway(&dual_stack())).add(&neighbour, "eth0").ok();
    let one_address =
        |subnet: &str, address: &str| json!([{"subnet": subnet, "rangeStart": address, "rangeEnd": address}]);
    let ranges = json!([one_address("10.1.0.0/24", "10.1.0.50"), one_address("fd00:1::/64", "fd00:1::50")]);
    let reused = config(&gateway(&json!({"type": "host-local", "ranges": ranges})));
    let reused = host.chain(&json!({"name": "reused", "plugins": [reused]}));
    let assert_known = |mac: &str| {
        for to in ["10.1.0.50", "fd00:1::50"] {
            let known = [neighbour.run(["ip", "neigh", "show", to]), host.run(["ip", "neigh", "show", to])];
            assert!(known.iter().all(|entry| entry.contains(mac)), "{mac} is not in {known:?}");
        }
    };
    let first = reused.add(&old, "eth0").ok();
    for to in ["10.1.0.50", "fd00:1::50"] {
        neighbour.shell(&format!("ping -n -c1 -w5 {to}"));
        host.shell(&format!("ping -n -c1 -w5 {to}"));
    }
    assert_known(mac(&first, 2));
    reused.del(&old, "eth0").ok();
    let capture = Capture::start(&neighbour, "announced", "-i eth0 arp or icmp6");
    let second = reused.add(&new, "eth0").ok();
    let mac = mac(&second, 2);
    assert_known(mac);
    capture.assert_sees(&format!("{mac} > ff:ff:ff:ff:ff:ff.* 10.1.0.50"));
    capture.assert_sees(&format!("{mac} > 33:33:00:00:00:01.*neighbor advertisement, tgt is fd00:1::50"));
}

/// CVE-2020-10749: a container's Router Advertisement must not give the host a default route.
#[test]
fn the_host_takes_no_router_advertisements_from_containers() {
    let host = Host::new();
    let c1 = host.container("c1");
    let accepts = |name: &str| sysctl(&host, &format!("ipv6/conf/{name}/accept_ra"));
    let result = network(&host, &json!({"ipam": ipv4()})).add(&c1, "eth0").ok();
    assert_eq!((accepts("br0"), accepts(host_end(&result))), ("0".into(), "0".into()));
    // Whoever made it may have been killed in between.
    host.shell("sysctl -qw net.ipv6.conf.br0.accept_ra=1");
    network(&host, &json!({"ipam": ipv4()})).add(&host.container("c2"), "eth0").ok();
    assert_eq!(accepts("br0"), "0");
}

#[test]
fn ipv6_that_the_runtime_switched_off_is_switched_on_for_ipv6_addresses_only() {
    let off = "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done";
    for (ipam, disabled) in [(ipv4(), "1"), (dual_stack(), "0")] {
        if disabled == "1" && reference_differs("this version switches it on for IPv4 addresses too") {
            continue;
        }
        let host = Host::new();
        let c1 = host.container("c1");
        c1.shell(off);
        network(&host, &gateway(&ipam)).add(&c1, "eth0").ok();
        assert_eq!(sysctl(&c1, "ipv6/conf/eth0/disable_ipv6"), disabled);
        if disabled == "0" {
            c1.shell("ip link set lo up; ping -n -c1 -w5 fd00:1::1");
            c1.shell("ping -n -c1 -w5 fd00:1::2");
            let keeps = sysctl(&c1, "ipv6/conf/eth0/keep_addr_on_down") == "1";
            assert!(keeps || reference_differs("this version does not set it"));
        }
    }
}

#[test]
fn an_interface_name_that_is_taken_is_an_error_that_names_it() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link add eth0 type bridge");
    let error = host.assert_leaves_nothing(|| network(&host, &gateway(&dual_stack())).add(&c1, "eth0").error());
    assert!(error.msg.contains("eth0"), "{error:?}");
    assert_eq!(link(&c1, "eth0")["linkinfo"]["info_kind"], "bridge");
}
