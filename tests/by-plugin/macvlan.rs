//! macvlan: every key of its README and what holds for its attachments, read back from the kernel or tried with packets.
//! Parents that are made for a tag are tested in tests/by-kernel-feature/macvlan_trunk.rs.
//!
//! - `checking`: what CHECK notices
//! - `in_container`: parents that are in the container
//! - `lifetime`: DEL, GC, STATUS, many at once
//! - `link`: mode, MTU, hardware address, queue
//! - `reach`: who reaches whom, and at once

mod checking;
mod in_container;
mod lifetime;
mod link;
mod reach;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, of_the_wire, reference_differs, wire};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/macvlan";

/// A macvlan plugin on `uplink`, which does not wait to see whether somebody else has an IPv6 address, with these keys
/// beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "macvlan", "master": "uplink", "enabledad": false});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    named("net", host, keys)
}

fn named<'h>(name: &str, host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": name, "plugins": [config(keys)]}))
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("macvlan").command(verb).container(container).config(config)
}

fn ipv4() -> Value {
    let mut ipam = of_the_wire();
    ipam["ranges"].as_array_mut().unwrap().pop();
    ipam["routes"].as_array_mut().unwrap().pop();
    ipam
}

/// What the kernel says of a macvlan link.
#[track_caller]
fn options(container: &Container, name: &str) -> Value {
    let link = container.link(name);
    assert_eq!(link["linkinfo"]["info_kind"], "macvlan");
    link["linkinfo"]["info_data"].clone()
}

fn mac(result: &Value) -> &str {
    result["interfaces"][0]["mac"].as_str().unwrap()
}

#[test]
fn the_rules_of_every_plugin_hold_for_each_key() {
    for keys in [
        json!({}),
        json!({"ipam": of_the_wire()}),
        json!({"master": "", "mode": "private", "mtu": 1400, "ipam": ipv4()}),
        json!({"mode": "passthru", "mac": "02:00:00:00:00:05", "ipam": of_the_wire()}),
        json!({"mode": "vepa", "bcqueuelen": 2000, "dns": {"domain": "a.test"}, "ipam": of_the_wire()}),
    ] {
        eprintln!("{keys}");
        let (host, _outside) = wire();
        host.shell("ip route add default via 192.0.2.2");
        every_plugin_rules(&network(&host, &keys), &host.container("c1"), "eth0");
    }
}

#[test]
fn the_defaults_are_the_default_route_s_link_and_mode_bridge() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let of = |family: &str, gateway: &str| host.shell(&format!("ip {family} route add default via {gateway}"));
    let no_default_route = || call(&host, "ADD", &c1, &json!({"type": "macvlan"})).run().error();
    let error = host.assert_leaves_nothing(no_default_route);
    assert!(error.msg.contains("default route") || reference_differs("other words"), "{error:?}");
    host.shell("ip link add other type veth; ip link set other up; ip addr add 198.51.100.1/24 dev other");
    for (family, gateway) in [("-6", "2001:db8::2"), ("-4", "192.0.2.2")] {
        if family == "-6" && reference_differs("it takes any default route of IPv6's for one that leads here") {
            continue;
        }
        of(family, gateway);
        let result = call(&host, "ADD", &c1, &json!({"type": "macvlan"})).run().ok();
        assert_eq!(c1.link("eth0")["link_index"], host.link("uplink")["ifindex"]);
        assert_eq!(options(&c1, "eth0")["mode"], "bridge");
        assert_eq!((&c1.link("eth0")["mtu"], c1.is_up("eth0")), (&json!(1500), true));
        assert_eq!(c1.addresses("eth0"), [""; 0]);
        assert!(result.get("ips").is_none() && result.get("routes").is_none(), "{result}");
        call(&host, "DEL", &c1, &json!({"type": "macvlan"})).run().ok();
    }
}

/// Of several default routes the one that the host's packets take.
#[test]
fn the_default_route_with_the_lowest_metric_counts() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell(
        "ip link add other up type veth peer name far; ip addr add 198.51.100.1/24 dev other
         ip route add default via 198.51.100.2 metric 100; ip route add default via 192.0.2.2 metric 50",
    );
    call(&host, "ADD", &c1, &json!({"type": "macvlan"})).run().ok();
    assert_eq!(c1.link("eth0")["link_index"], host.link("uplink")["ifindex"]);
}

#[test]
fn the_link_says_whose_it_is() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    network(&host, &json!({})).add(&c1, "eth0").ok();
    assert_eq!(c1.link("eth0")["ifalias"], "ferrocni:net/c1/eth0");
}

#[test]
fn a_result_lists_the_interface_with_what_the_kernel_says_of_it() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let mut config = config(&json!({"mtu": 1400, "ipam": of_the_wire()}));
    for (version, mtu) in [("1.1.0", json!(1400)), ("1.0.0", Value::Null), ("0.4.0", Value::Null)] {
        if version == "1.1.0" && reference_differs("this version does not speak 1.1.0") {
            continue;
        }
        config["cniVersion"] = json!(version);
        let result = call(&host, "ADD", &c1, &config).run().ok();
        let link = c1.link("eth0");
        let mut interface = json!({"name": "eth0", "mac": link["address"], "sandbox": c1.netns});
        if !mtu.is_null() {
            interface["mtu"] = mtu;
        }
        assert_eq!(result["interfaces"], json!([interface]));
        for index in [0, 1] {
            assert_eq!(result["ips"][index]["interface"], 0, "{result}");
        }
        call(&host, "DEL", &c1, &config).run().ok();
    }
}

/// As the reference's: what the IPAM plugin says about name servers is not used.
#[test]
fn the_dns_of_a_result_is_the_network_s() {
    let (host, _outside) = wire();
    host.write("/run/resolv.conf", "nameserver 10.0.0.53\n");
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut ipam = ipv4();
    ipam["resolvConf"] = json!("/run/resolv.conf");
    let result = network(&host, &json!({"ipam": ipam})).add(&c1, "eth0").ok();
    assert!(result.get("dns").is_none_or(|dns| *dns == json!({})), "{result}");
    let dns = json!({"domain": "a.test", "search": ["b.test"]});
    assert_eq!(network(&host, &json!({"ipam": ipam, "dns": dns})).add(&c2, "eth0").ok()["dns"], dns);
}

/// The reference ignores it: an upgrade must not move a network to another VLAN.
#[test]
fn the_key_vlan_has_no_effect_and_that_is_said() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for vlan in [json!(20), json!("20")] {
        let mut config = config(&json!({"vlan": vlan, "ipam": of_the_wire()}));
        config["name"] = json!("net");
        let outcome = call(&host, "ADD", &c1, &config).run();
        let said = outcome.finished.stderr.clone();
        outcome.ok();
        assert_eq!(c1.link("eth0")["link_index"], host.link("uplink")["ifindex"]);
        call(&host, "DEL", &c1, &config).run().ok();
        if !reference_differs("it says nothing") {
            assert!(said.contains("\"vlan\" has no effect") && said.contains("\"eth0.20\""), "{said}");
        }
    }
}

#[test]
fn keys_that_cannot_work_are_refused_and_change_nothing() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip link add br0 type bridge; ip link add port up master br0 type veth peer name far");
    let cases: [(Value, u64, &[&str]); 9] = [
        (json!({"master": "nowhere"}), 999, &["nowhere", "master"]),
        (json!({"master": "nowhere.20"}), 999, &["nowhere.20 cannot be made", "nowhere does not exist"]),
        (json!({"master": "uplink.4095"}), 7, &["uplink.4095", "4095 is not a VLAN"]),
        (json!({"master": "a/b"}), 7, &["master", "a/b"]),
        (json!({"master": "lo"}), 999, &["lo cannot have macvlan links", "Ethernet"]),
        (json!({"master": "port"}), 999, &["port cannot have macvlan links", "a bridge"]),
        (json!({"mode": "source"}), 7, &["mode", "source", "bridge, private, vepa, passthru"]),
        (json!({"bcqueuelen": -1}), 7, &["bcqueuelen", "-1"]),
        (json!({"ipam": {"type": "nobody"}}), 7, &["nobody", "CNI_PATH"]),
    ];
    for (keys, code, words) in cases {
        let add = || network(&host, &keys).add(&c1, "eth0");
        if reference_differs("other keys and words, one code for everything, and some leave a link behind") {
            add();
            network(&host, &keys).del(&c1, "eth0");
            continue;
        }
        let error = host.assert_leaves_nothing(add).error();
        assert_eq!(error.code, code, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
    }
}
