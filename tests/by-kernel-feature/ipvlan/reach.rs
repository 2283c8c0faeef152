//! Who reaches whom in which mode, and at once.

use serde_json::{Value, json};
use tests::{Host, Inside, address, names};

use super::{call, config, network, of_the_wire, subnets, wire};

/// Both families.
#[track_caller]
fn assert_reaches(from: &impl Inside, result: &Value) {
    for index in [0, 1] {
        from.assert_reaches_tcp(&format!("{}:80", address(result, index)));
    }
}

#[track_caller]
fn assert_blocked(from: &impl Inside, result: &Value) {
    for index in [0, 1] {
        from.assert_blocked_tcp(&format!("{}:80", address(result, index)));
    }
}

/// The two machines of [`wire`], as [`assert_reaches`] wants them.
fn on_wire(number: u8) -> Value {
    json!({"ips": [{"address": format!("192.0.2.{number}/24")}, {"address": format!("2001:db8::{number}/64")}]})
}

/// The way back to what is behind the host, whose containers have no hardware address that a router could ask for.
fn know_the_way(outside: &Host, subnets: &[u8]) {
    for number in subnets {
        outside.shell(&format!(
            "ip route add 10.{number}.0.0/24 via 192.0.2.1; ip -6 route add fd00:{number}::/64 via 2001:db8::1"
        ));
    }
}

#[test]
fn in_layer_2_containers_reach_each_other_and_the_wire_but_not_their_host() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let (_web, _host, _outside) = (web.listen_tcp(80), host.listen_tcp(80), outside.listen_tcp(80));
    let network = network("net", &host, &json!({"ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    assert_reaches(&web, &on_wire(2));
    network.add(&peer, "eth0").ok();
    assert_reaches(&outside, &result);
    assert_reaches(&peer, &result);
    assert_reaches(&outside, &on_wire(1));
    assert_blocked(&host, &result);
    assert_blocked(&web, &on_wire(1));
    // But by a link of its own among theirs.
    host.shell(
        "ip link add shim link uplink type ipvlan mode l2; ip addr add 192.0.2.9/32 dev shim; ip link set shim up
         ip addr add 2001:db8::9/128 dev shim nodad; ip route add 192.0.2.100 dev shim; ip route add 2001:db8::100 dev shim",
    );
    assert_reaches(&host, &result);
    // Beyond the gateway, by the routes that IPAM gave.
    outside.shell("ip addr add 203.0.113.7/32 dev lo; ip addr add 2001:db8:7::7/128 dev lo");
    peer.assert_reaches_tcp("203.0.113.7:80");
    peer.assert_reaches_tcp("[2001:db8:7::7]:80");
}

#[test]
fn in_every_mode_containers_find_each_other_by_name() {
    for mode in ["l2", "l3", "l3s"] {
        let (host, _outside) = wire();
        let plugins = json!([config(&json!({"mode": mode, "ipam": of_the_wire()})), {"type": "dnsname"}]);
        let network = json!({"name": "net", "plugins": plugins});
        let attach = |name: &str| {
            let container = host.container(name);
            host.chain(&network).args(&format!("IgnoreUnknown=1;K8S_POD_NAME={name}")).add(&container, "eth0").ok();
            container
        };
        let (_web, peer) = (attach("web"), attach("peer"));
        let found = names::addresses(&peer, "web");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["192.0.2.100", "2001:db8::100"],
            "{mode}"
        );
    }
}

#[test]
fn in_layer_3_subnets_of_one_parent_reach_each_other_and_who_knows_the_way() {
    for mode in ["l3", "l3s"] {
        let (host, outside) = wire();
        let (web, peer) = (host.container("web"), host.container("peer"));
        let (_web, _host, _outside) = (web.listen_tcp(80), host.listen_tcp(80), outside.listen_tcp(80));
        let on = |name: &str, number| network(name, &host, &json!({"mode": mode, "ipam": subnets(number)}));
        let result = on("one", 1).add(&web, "eth0").ok();
        on("two", 2).add(&peer, "eth0").ok();
        assert_reaches(&peer, &result);
        assert_blocked(&outside, &result);
        know_the_way(&outside, &[1, 2]);
        assert_reaches(&outside, &result);
        assert_reaches(&peer, &on_wire(2));
        host.shell("ip route add 10.1.0.0/24 dev uplink; ip -6 route add fd00:1::/64 dev uplink");
        assert_blocked(&host, &result);
        assert_blocked(&web, &on_wire(1));
    }
}

/// Nobody on the link has the gateway's address, and nobody is asked for it.
#[test]
fn in_layer_3_routes_lead_over_the_link_and_a_gateway_is_in_vain() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for (mode, configured) in [("l3", true), ("l3s", false), ("l2", true)] {
        let mut keys = config(&json!({"mode": mode, "ipam": subnets(1)}));
        if configured {
            keys["ipam"]["ranges"][0][0]["gateway"] = json!("10.1.0.7");
        }
        let outcome = call(&host, "ADD", &c1, &keys).run();
        let said = outcome.finished.stderr.clone();
        let result = outcome.ok();
        let expected = if configured { "10.1.0.7" } else { "10.1.0.1" };
        assert_eq!(result["ips"][0]["gateway"], expected, "plugins later in the chain may want it");
        assert_eq!(said.contains("has no effect"), mode == "l3", "{mode}: {said}");
        keys["prevResult"] = result;
        call(&host, "CHECK", &c1, &keys).run().ok();
        let routes = c1.ip_json(["route", "show", "default"]);
        if mode == "l2" {
            assert_eq!(routes[0]["gateway"], "10.1.0.7", "{routes}");
        } else {
            assert_eq!((&routes[0]["dev"], &routes[0]["gateway"]), (&json!("eth0"), &Value::Null), "{routes}");
        }
        call(&host, "DEL", &c1, &keys).run().ok();
    }
}

#[test]
fn with_flag_private_containers_reach_the_wire_only() {
    for (mode, ipam) in [("l2", of_the_wire()), ("l3", subnets(1))] {
        let (host, outside) = wire();
        know_the_way(&outside, &[1]);
        let (web, peer) = (host.container("web"), host.container("peer"));
        let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
        let network = network("net", &host, &json!({"mode": mode, "ipvlanFlag": "private", "ipam": ipam}));
        let result = network.add(&web, "eth0").ok();
        network.add(&peer, "eth0").ok();
        assert_reaches(&outside, &result);
        assert_reaches(&peer, &on_wire(2));
        assert_blocked(&peer, &result);
    }
}

/// IEEE 802.1Qbg: a switch that sends frames back where they came from.
#[test]
fn with_flag_vepa_containers_reach_each_other_if_the_switch_returns_frames() {
    let (host, outside) = wire();
    outside.shell(
        "ip link add switch up type bridge mcast_snooping 0; ip link set uplink master switch
         bridge link set dev uplink hairpin on",
    );
    let (web, peer) = (host.container("web"), host.container("peer"));
    let _web = web.listen_tcp(80);
    let network = network("net", &host, &json!({"ipvlanFlag": "vepa", "ipam": of_the_wire()}));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    assert_reaches(&peer, &result);
    outside.shell("bridge link set dev uplink hairpin off");
    assert_blocked(&peer, &result);
}

/// An address that was another machine's a moment ago: everybody on the wire is told where it is now. The kernel sends what
/// is for everybody from a queue (`ipvlan_process_multicast`, drivers/net/ipvlan/ipvlan_core.c), so it may arrive a moment
/// after ADD returns, but long before a neighbour would doubt what it knew.
#[test]
fn neighbours_learn_at_once_who_has_an_address_now() {
    for detect in [false, true] {
        let (host, outside) = wire();
        let c1 = host.container("c1");
        outside.shell(
            "for ip in 192.0.2.100 2001:db8::100; do
                 ip neigh replace $ip lladdr 02:00:00:00:00:99 nud reachable dev uplink
             done",
        );
        network("net", &host, &json!({"enabledad": detect, "ipam": of_the_wire()})).add(&c1, "eth0").ok();
        let link = host.link("uplink");
        let mac = link["address"].as_str().unwrap();
        for ip in ["192.0.2.100", "2001:db8::100"] {
            outside.shell(&format!(
                "for attempt in $(seq 50); do
                     ip neigh show {ip} dev uplink | grep -q {mac} && exit
                     sleep 0.1
                 done
                 echo {ip} should be at {mac}; ip neigh show dev uplink; exit 1"
            ));
        }
    }
}

/// On a wire with strangers the kernel's default is kept: nobody uses an address that another host has.
#[test]
fn an_ipv6_address_that_somebody_on_the_wire_has_is_refused_unless_told_otherwise() {
    let (host, outside) = wire();
    let c1 = host.container("c1");
    outside.shell("ip addr add 2001:db8::100/64 dev uplink nodad");
    let mut keys = config(&json!({"ipam": of_the_wire()}));
    keys["ipam"]["ranges"][1][0]["rangeEnd"] = json!("2001:db8::100");
    call(&host, "ADD", &c1, &keys).run().ok();
    call(&host, "DEL", &c1, &keys).run().ok();
    keys.as_object_mut().unwrap().remove("enabledad");
    let error = call(&host, "ADD", &c1, &keys).run().error();
    assert!(format!("{} {}", error.msg, error.details).contains("2001:db8::100"), "{error:?}");
    assert_eq!(c1.links(), ["lo"]);
    // Nobody can be asked there.
    keys["mode"] = json!("l3");
    call(&host, "ADD", &c1, &keys).run().ok();
}

#[test]
fn the_example_of_layer_2_is_on_the_wire() {
    let (host, outside) = wire();
    outside.shell("ip addr add 192.168.1.1/24 dev uplink; ip addr add 203.0.113.7/32 dev lo");
    let mut example = tests::example("ipvlan-l2");
    example["plugins"][0]["master"] = json!("uplink");
    let network = host.chain(&example);
    let (web, peer) = (host.container("web"), host.container("peer"));
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    let result = network.add(&web, "eth0").ok();
    assert_eq!(address(&result, 0), "192.168.1.200");
    network.add(&peer, "eth0").ok();
    peer.assert_reaches_tcp("192.168.1.200:80");
    outside.assert_reaches_tcp("192.168.1.200:80");
    assert_eq!(web.assert_reaches_tcp("203.0.113.7:80").ip().to_string(), "192.168.1.200");
    host.assert_blocked_tcp("192.168.1.200:80");
}

#[test]
fn the_example_of_layer_3_is_behind_the_host() {
    let (host, outside) = wire();
    outside.shell(
        "ip route add 10.230.1.0/24 via 192.0.2.1; ip -6 route add fd00:230:1::/64 via 2001:db8::1
         ip addr add 203.0.113.7/32 dev lo",
    );
    host.shell("ip route add default via 192.0.2.2");
    let mut example = tests::example("ipvlan-l3");
    example["plugins"][0]["master"] = json!("uplink");
    let network = host.chain(&example);
    let (web, peer) = (host.container("web"), host.container("peer"));
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    let result = network.add(&web, "eth0").ok();
    network.add(&peer, "eth0").ok();
    assert_reaches(&peer, &result);
    assert_reaches(&outside, &result);
    web.assert_reaches_tcp("203.0.113.7:80");
    web.assert_reaches_tcp("[2001:db8::2]:80");
}
