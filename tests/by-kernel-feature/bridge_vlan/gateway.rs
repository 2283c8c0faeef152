//! The host's link into a VLAN.

use std::thread;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, address, reference_differs, wire};

use super::{host_end, ipam, network, other_end, vlans};

fn keys() -> Value {
    json!({"vlan": 100, "isDefaultGateway": true, "ipMasq": true, "ipam": ipam(10)})
}

#[track_caller]
fn accept_ra(host: &Host, link: &str) -> String {
    host.run(["cat", &format!("/proc/sys/net/ipv6/conf/{link}/accept_ra")]).trim().to_owned()
}

const BOTH: [&str; 2] = ["10.1.0.1/24", "fd00:1::1/64"];

#[test]
fn the_gateway_is_in_the_vlan_and_in_no_other() {
    let (host, outside) = wire();
    let [c1, c2, other] = ["c1", "c2", "other"].map(|name| host.container(name));
    let network = network(&host, "net", &keys());
    let result = network.add(&c1, "eth0").ok();
    super::network(&host, "other", &json!({"vlan": 200, "ipam": ipam(30)})).add(&other, "eth0").ok();

    let gateway = host.link("br0.100");
    let (reported, four) = (&result["interfaces"][3], result["interfaces"].as_array().unwrap().len());
    assert_eq!((four, &reported["name"], &reported["mac"]), (4, &json!("br0.100"), &gateway["address"]));
    assert!(reported["mtu"] == gateway["mtu"] || reference_differs("it reports no MTU"));
    assert_eq!((&result["ips"][0]["interface"], &reported["sandbox"]), (&json!(2), &Value::Null));
    assert_eq!((host.addresses("br0.100"), host.addresses("br0")), (BOTH.map(str::to_owned).into(), vec![]));
    let port = other_end(&host, "br0.100");
    assert!(vlans(&host, &port) == "100 pvid untagged" || reference_differs("it leaves the default VLAN"));
    for link in ["br0.100", &port] {
        assert!(accept_ra(&host, link) == "0" || reference_differs("it forgets one end"), "{link}");
    }
    if !reference_differs("it lets the kernel look for duplicates") {
        host.assert_ipv6_is_usable("br0.100");
    }

    let (_hosts, _outside) = (host.listen_tcp(8000), outside.listen_tcp(80));
    if reference_differs("this version leaves the link down") {
        return;
    }
    for (gateway, elsewhere, seen) in
        [("10.1.0.1:8000", "192.0.2.2:80", "192.0.2.1"), ("[fd00:1::1]:8000", "[2001:db8::2]:80", "2001:db8::1")]
    {
        c1.assert_reaches_tcp(gateway);
        assert_eq!(c1.assert_reaches_tcp(elsewhere).ip().to_string(), seen);
        other.assert_blocked_tcp(gateway);
    }
    let second = network.add(&c2, "eth0").ok();
    assert_eq!(second["interfaces"][3], *reported);
    c2.assert_pings("10.1.0.1");
}

#[test]
fn each_vlan_has_a_gateway_of_its_own() {
    let host = Host::new();
    let [a, b] = ["a", "b"].map(|name| host.container(name));
    let server = network(&host, "a", &keys()).add(&a, "eth0").ok();
    let ranges = json!([[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00:2::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges});
    network(&host, "b", &json!({"vlan": 200, "isDefaultGateway": true, "ipam": ipam})).add(&b, "eth0").ok();
    assert_eq!(host.addresses("br0.200"), ["10.2.0.1/24", "fd00:2::1/64"]);
    let _server = a.listen_tcp(80);
    for index in [0, 1] {
        b.assert_reaches_tcp(&format!("{}:80", address(&server, index)));
    }
}

#[test]
fn many_first_adds_at_once_make_one_gateway() {
    let host = Host::new();
    let containers: Vec<_> = (0..30).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network(&host, "net", &keys());
    let results: Vec<Value> = thread::scope(|scope| {
        let add = |container: &'_ Container| network.add(container, "eth0");
        let threads: Vec<_> = containers.iter().map(|container| scope.spawn(move || add(container))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter_map(|outcome| outcome.json).collect()
    });
    if reference_differs("those that come second fail, because the link exists") {
        return;
    }
    let gateway = host.link("br0.100")["address"].clone();
    for result in &results {
        assert_eq!(result["interfaces"][3]["mac"], gateway, "{result}");
        assert_eq!(vlans(&host, host_end(result)), "100 pvid untagged");
    }
    assert_eq!(host.ip_json(["link", "show", "master", "br0"]).as_array().unwrap().len(), 31);
    assert_eq!(host.addresses("br0.100"), BOTH);
    containers[29].assert_pings("10.1.0.1");
    containers[29].assert_pings("fd00:1::1");
}

/// As an ADD leaves it that was killed after the first or the second of its steps, or a bridge that was removed.
#[test]
fn a_gateway_that_is_not_whole_is_made_whole() {
    let host = Host::new();
    let [c1, c2] = ["c1", "c2"].map(|name| host.container(name));
    let network = network(&host, "net", &keys());
    network.add(&c1, "eth0").ok();
    for harm in [
        "ip link set br0.100 down; bridge vlan del dev $PORT vid 100; bridge vlan add dev $PORT vid 1 pvid untagged",
        "ip link set br0.100 down; ip link set $PORT nomaster down",
        "ip link del br0",
        "ip link del br0.100",
        "ip addr flush dev br0.100",
    ] {
        host.shell(&format!("PORT={}; {harm}", other_end(&host, "br0.100")));
        network.add(&c2, "eth0").ok();
        network.check(&c2, "eth0").ok();
        for gateway in ["10.1.0.1", "fd00:1::1"] {
            c2.assert_pings(gateway);
        }
        network.del(&c2, "eth0").ok();
    }
}

#[test]
fn a_pair_that_leads_to_another_bridge_is_refused() {
    let host = Host::new();
    let c1 = host.container("c1");
    host.shell(
        "ip link add br0 up type bridge vlan_filtering 1; ip link add other up type bridge
         ip link add br0.100 type veth peer name port; ip link set port master other",
    );
    let error = host.assert_leaves_nothing(|| network(&host, "net", &keys()).add(&c1, "eth0").error());
    assert!(error.msg.contains("br0.100") && error.msg.contains("remove it"), "{error:?}");
}

#[test]
fn an_administrator_s_link_of_that_name_is_used() {
    let host = Host::new();
    let [c1, c2] = ["c1", "c2"].map(|name| host.container(name));
    host.shell("ip link add br0 up type bridge vlan_filtering 1; ip link add br0.100 link br0 type macvlan");
    let network = network(&host, "net", &keys());
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    assert_eq!(host.addresses("br0.100"), BOTH);
    network.add(&c2, "eth0").ok();
    assert!(host.is_up("br0.100") || reference_differs("this version leaves it down"));
    assert_eq!(host.link("br0.100")["linkinfo"]["info_kind"], "macvlan");
}

#[test]
fn another_network_s_address_in_the_vlan_is_in_the_way_unless_force_address() {
    let host = Host::new();
    let [c1, c2] = ["c1", "c2"].map(|name| host.container(name));
    network(&host, "net", &keys()).add(&c1, "eth0").ok();
    let mut keys = keys();
    keys["ipam"] = json!({"type": "host-local", "subnet": "10.2.0.0/24"});
    let error = host.assert_leaves_nothing(|| network(&host, "other", &keys).add(&c2, "eth0").error());
    assert_eq!(error.code, 7);
    assert!(error.msg.contains("br0.100 has address 10.1.0.1/24"), "{error:?}");
    keys["forceAddress"] = json!(true);
    network(&host, "other", &keys).add(&c2, "eth0").ok();
    assert_eq!(host.addresses("br0.100"), ["10.2.0.1/24", "fd00:1::1/64"]);
}
