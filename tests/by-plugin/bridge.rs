//! bridge: every key of its README and what holds for its attachments, read back from the kernel or tried with packets.
//!
//! - `addressing`: gateways, routes, IPv6, neighbours
//! - `checking`: what CHECK notices
//! - `lifetime`: DEL, GC, STATUS, many at once
//! - `link_layer`: MTU, hardware addresses, the options of the bridge and its ports
//! - `masquerading`: what leaves the network, and under which address
//! - `reference`: what the reference made before this suite was installed
//! - `uplink`: the link to the wire
//! - `vlans`: their keys, and kernels without them

mod addressing;
mod checking;
mod lifetime;
mod link_layer;
mod masquerading;
mod reference;
mod uplink;
mod vlans;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside, every_plugin_rules, reference_differs};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/bridge";

/// A bridge plugin on `br0` with these keys beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "bridge", "bridge": "br0"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": "net", "plugins": [config(keys)]}))
}

fn ipam(subnets: &[&str]) -> Value {
    let ranges: Vec<_> = subnets.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    json!({"type": "host-local", "ranges": ranges})
}

fn ipv4() -> Value {
    ipam(&["10.1.0.0/24"])
}

fn dual_stack() -> Value {
    ipam(&["10.1.0.0/24", "fd00:1::/64"])
}

fn gateway(ipam: &Value) -> Value {
    json!({"isGateway": true, "ipam": ipam})
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("bridge").command(verb).container(container).config(config)
}

#[track_caller]
fn link(place: &impl Inside, name: &str) -> Value {
    place.link(name)
}

/// The host's end, by the result of an ADD.
fn host_end(result: &Value) -> &str {
    result["interfaces"][1]["name"].as_str().unwrap()
}

fn mac(result: &Value, interface: usize) -> &str {
    result["interfaces"][interface]["mac"].as_str().unwrap()
}

#[track_caller]
fn addresses(place: &impl Inside, name: &str) -> Vec<String> {
    place.addresses(name)
}

#[track_caller]
fn sysctl(place: &impl Inside, key: &str) -> String {
    place.run(["cat", &format!("/proc/sys/net/{key}")]).trim().to_owned()
}

#[test]
fn the_rules_of_every_plugin_hold_for_each_key() {
    let mut cases = vec![
        json!({}),
        json!({"hairpinMode": true, "macspoofchk": true, "mtu": 1400}),
        json!({"promiscMode": true, "isGateway": true, "ipMasq": true, "ipam": ipv4()}),
        json!({"isDefaultGateway": true, "forceAddress": true, "ipMasq": true, "ipam": dual_stack()}),
    ];
    if !reference_differs("this version has not got these keys") {
        cases.push(json!({"macspoofchk": true, "ipam": dual_stack()}));
        cases.push(json!({"disableContainerInterface": true}));
        cases.push(json!({"portIsolation": true, "enabledad": true, "ipam": dual_stack()}));
        cases.push(json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": dual_stack()}));
        cases.push(json!({"ipMasq": true, "ipMasqBackend": null, "ipam": dual_stack()}));
    }
    for keys in cases {
        if keys.get("ipam").is_none() && reference_differs("its CHECK asks an IPAM plugin that the network has not got")
        {
            continue;
        }
        eprintln!("{keys}");
        let host = Host::new();
        every_plugin_rules(&network(&host, &keys), &host.container("c1"), "eth0");
    }
}

#[test]
fn the_defaults_are_a_bridge_cni0_without_addresses() {
    let host = Host::new();
    let c1 = host.container("c1");
    call(&host, "ADD", &c1, &json!({"type": "bridge"})).run().ok();
    assert_eq!(link(&host, "cni0")["linkinfo"]["info_kind"], "bridge");
    assert_eq!(addresses(&host, "cni0"), [""; 0]);
    assert_eq!(addresses(&c1, "eth0"), [""; 0]);
    assert_eq!(sysctl(&host, "ipv4/ip_forward"), "0");
    assert_eq!((&link(&c1, "eth0")["mtu"], c1.is_up("eth0")), (&json!(1500), true));
}

#[test]
fn the_host_s_end_says_whose_it_is_and_has_no_address() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &gateway(&dual_stack())).add(&c1, "eth0").ok();
    assert_eq!(link(&host, host_end(&result))["ifalias"], "ferrocni:net/c1/eth0");
    let end = host.ip_json(["address", "show", "dev", host_end(&result)]);
    assert_eq!(end[0]["addr_info"], json!([]), "a port of a bridge needs none, not even a link-local one");
}

#[test]
fn a_result_lists_the_bridge_and_both_ends_with_what_the_kernel_says_of_them() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"mtu": 1400, "isGateway": true, "ipam": dual_stack()})).add(&c1, "eth0").ok();
    let end = host_end(&result).to_owned();
    let found = [("br0", link(&host, "br0")), (end.as_str(), link(&host, &end)), ("eth0", link(&c1, "eth0"))];
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 3);
    for (index, (name, link)) in found.iter().enumerate() {
        let reported = &result["interfaces"][index];
        assert_eq!((&reported["name"], &reported["mac"]), (&json!(name), &link["address"]));
        let sandbox = if index == 2 { json!(c1.netns) } else { Value::Null };
        assert_eq!(reported["sandbox"], sandbox);
        assert!(reference_differs("it reports no MTU") || reported["mtu"] == link["mtu"], "{result}");
    }
    assert_eq!(
        result["ips"],
        json!([
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 2},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 2}
        ])
    );
}

#[test]
fn an_mtu_is_reported_from_specification_1_1_on() {
    let host = Host::new();
    let c1 = host.container("c1");
    for (version, mtu) in [("1.0.0", Value::Null), ("0.4.0", Value::Null), ("1.1.0", json!(1500))] {
        if version == "1.1.0" && reference_differs("this version does not speak 1.1.0") {
            continue;
        }
        let mut config = config(&gateway(&ipv4()));
        config["cniVersion"] = json!(version);
        let result = call(&host, "ADD", &c1, &config).run().ok();
        assert_eq!(result["cniVersion"], version);
        for interface in 0..3 {
            assert_eq!(result["interfaces"][interface]["mtu"], mtu, "{result}");
        }
        call(&host, "DEL", &c1, &config).run().ok();
    }
}

#[test]
fn the_network_s_dns_replaces_the_ipam_plugin_s() {
    let host = Host::new();
    host.write("/run/resolv.conf", "nameserver 10.0.0.53\n");
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut ipam = ipv4();
    ipam["resolvConf"] = json!("/run/resolv.conf");
    let given = network(&host, &json!({"ipam": ipam})).add(&c1, "eth0").ok();
    if !reference_differs("this version loses the IPAM plugin's") {
        assert_eq!(given["dns"], json!({"nameservers": ["10.0.0.53"]}));
    }
    let dns = json!({"domain": "a.test", "search": ["b.test"]});
    let replaced = network(&host, &json!({"ipam": ipam, "dns": dns})).add(&c2, "eth0").ok();
    assert_eq!(replaced["dns"], dns);
}

#[test]
fn keys_that_cannot_work_are_refused_and_change_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut cases = vec![(json!({"hairpinMode": true, "promiscMode": true}), 7, ["hairpinMode", "promiscMode"])];
    if !reference_differs("other words, other keys") {
        cases.extend([
            (json!({"disableContainerInterface": true, "ipam": ipv4()}), 7, ["disableContainerInterface", "ipam"]),
            (json!({"ipMasqBackend": "pf"}), 7, ["ipMasqBackend", "pf"]),
            (json!({"mtu": -1}), 7, ["mtu", "-1"]),
            (json!({"bridge": "a/b"}), 7, ["bridge", "a/b"]),
        ]);
    }
    for (keys, code, words) in cases {
        let error = host.assert_leaves_nothing(|| network(&host, &keys).add(&c1, "eth0").error());
        assert!(error.code == code || reference_differs("it has one code for everything"), "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        let differs = "hairpinMode is in its words, promiscMode as \"promiscuous\"";
        assert!(words.iter().all(|word| text.contains(word)) || reference_differs(differs), "{keys}: {text}");
    }
    assert_eq!(host.ip_json(["link"]).as_array().unwrap().len(), 1, "not even a bridge");
}
