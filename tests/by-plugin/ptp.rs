//! ptp: every key of its README and what holds for its attachments, read back from the kernel or tried with packets.
//!
//! - `checking`: what CHECK notices
//! - `lifetime`: DEL, GC, STATUS, the reference's attachments, many at once
//! - `reach`: who reaches whom, and under which address

mod checking;
mod lifetime;
mod reach;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside, every_plugin_rules, reference_differs};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/ptp";

fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "ptp"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": "net", "plugins": [config(keys)]}))
}

/// These subnets, and a default route for each family.
fn ipam(subnets: &[&str]) -> Value {
    let ranges: Vec<_> = subnets.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]})
}

fn ipv4() -> Value {
    let mut ipam = ipam(&["10.1.0.0/24"]);
    ipam["routes"] = json!([{"dst": "0.0.0.0/0"}]);
    ipam
}

fn dual_stack() -> Value {
    ipam(&["10.1.0.0/24", "fd00:1::/64"])
}

/// These addresses with their gateways.
fn fixed(addresses: &[(&str, &str)]) -> Value {
    let one = |(address, gateway): &(&str, &str)| json!({"address": address, "gateway": gateway});
    json!({"type": "static", "addresses": addresses.iter().map(one).collect::<Vec<_>>()})
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("ptp").command(verb).container(container).config(config)
}

/// The host's end, by the result of an ADD.
fn host_end(result: &Value) -> &str {
    result["interfaces"][0]["name"].as_str().unwrap()
}

/// The main table's routes of both families but those to link-local addresses, in the words of `ip`, without what says who
/// made them.
#[track_caller]
fn routes(place: &impl Inside) -> Vec<String> {
    let both = place.shell("ip -4 route; ip -6 route | sed 's/^default/::\\/0/; /^fe80/d'");
    let mut routes: Vec<_> = both.lines().map(|route| route.replace("proto static ", "").trim().to_owned()).collect();
    routes.sort();
    routes
}

#[track_caller]
fn sysctl(place: &impl Inside, key: &str) -> String {
    place.run(["cat", &format!("/proc/sys/net/{key}")]).trim().to_owned()
}

#[test]
fn the_rules_of_every_plugin_hold_for_each_key() {
    let mut cases = vec![
        json!({"ipam": ipv4()}),
        json!({"ipam": dual_stack(), "mtu": 1400, "dns": {"domain": "a.test"}}),
        json!({"ipam": dual_stack(), "ipMasq": true}),
    ];
    if !reference_differs("this version has not got this key") {
        cases.push(json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": dual_stack()}));
        cases.push(json!({"ipMasq": true, "ipMasqBackend": null, "ipam": dual_stack()}));
    }
    for keys in cases {
        eprintln!("{keys}");
        let host = Host::new();
        every_plugin_rules(&network(&host, &keys), &host.container("c1"), "eth0");
    }
}

#[test]
fn the_gateway_is_the_only_neighbour() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"ipam": dual_stack()})).add(&c1, "eth0").ok();
    host.wait_for_ipv6();
    assert_eq!(c1.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    assert_eq!(
        routes(&c1),
        [
            "10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2",
            "10.1.0.1 dev eth0 scope link src 10.1.0.2",
            "::/0 via fd00:1::1 dev eth0 metric 1024 pref medium",
            "default via 10.1.0.1 dev eth0",
            "fd00:1::/64 via fd00:1::1 dev eth0 src fd00:1::2 metric 1024 pref medium",
            "fd00:1::1 dev eth0 src fd00:1::2 metric 1024 pref medium",
        ]
    );
    let end = host_end(&result);
    assert_eq!(host.addresses(end), ["10.1.0.1/32", "fd00:1::1/128"]);
    let mut wanted =
        vec![format!("10.1.0.2 dev {end} scope host"), format!("fd00:1::2 dev {end} metric 1024 pref medium")];
    if reference_differs("the kernel gives it a route to the gateway beside, which no packet takes") {
        wanted.insert(1, format!("fd00:1::1 dev {end} proto kernel metric 256 pref medium"));
    }
    assert_eq!(routes(&host), wanted);
}

#[test]
fn the_host_is_a_router_that_obeys_no_other() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let result = network(&host, &json!({"ipam": ipv4()})).add(&c1, "eth0").ok();
    assert_eq!((sysctl(&host, "ipv4/ip_forward"), sysctl(&host, "ipv6/conf/all/forwarding")), ("1".into(), "0".into()));
    assert_eq!(sysctl(&host, &format!("ipv6/conf/{}/accept_ra", host_end(&result))), "0");
    let two = json!({"ipam": ipam(&["10.2.0.0/24", "fd00:2::/64"])});
    let mut config = config(&two);
    config["name"] = json!("two");
    call(&host, "ADD", &c2, &config).run().ok();
    assert_eq!(sysctl(&host, "ipv6/conf/all/forwarding"), "1");
}

#[test]
fn the_host_s_end_says_whose_it_is() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"ipam": ipv4()})).add(&c1, "eth0").ok();
    assert_eq!(host.link(host_end(&result))["ifalias"], "ferrocni:net/c1/eth0");
}

/// Duplicates of an address cannot be on a link between two, and the host forwards nothing to a container as long as its own
/// link-local address is tentative.
#[test]
fn every_address_of_the_host_s_end_can_be_used_at_once() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"ipam": dual_stack()})).add(&c1, "eth0").ok();
    let end = host_end(&result);
    host.assert_ipv6_is_usable(end);
    let local = host.shell(&format!("ip -6 route show table local dev {end}"));
    assert!(local.contains("local fd00:1::1"), "{local}");
}

#[test]
fn a_result_lists_both_ends_with_what_the_kernel_says_of_them() {
    let host = Host::new();
    let c1 = host.container("c1");
    let result = network(&host, &json!({"mtu": 1400, "ipam": dual_stack()})).add(&c1, "eth0").ok();
    let end = host_end(&result).to_owned();
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 2);
    for (index, (name, link)) in [(end.as_str(), host.link(&end)), ("eth0", c1.link("eth0"))].iter().enumerate() {
        let reported = &result["interfaces"][index];
        assert_eq!((&reported["name"], &reported["mac"]), (&json!(name), &link["address"]));
        assert_eq!(reported["sandbox"], if index == 1 { json!(c1.netns) } else { Value::Null });
        assert_eq!(link["mtu"], 1400);
        assert!(reference_differs("it reports no MTU") || reported["mtu"] == 1400, "{result}");
    }
    assert_eq!(
        result["ips"],
        json!([
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 1}
        ])
    );
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]));
}

#[test]
fn the_network_s_dns_replaces_the_ipam_plugin_s() {
    let host = Host::new();
    host.write("/run/resolv.conf", "nameserver 10.0.0.53\n");
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut ipam = ipv4();
    ipam["resolvConf"] = json!("/run/resolv.conf");
    let given = network(&host, &json!({"ipam": ipam})).add(&c1, "eth0").ok();
    assert_eq!(given["dns"], json!({"nameservers": ["10.0.0.53"]}));
    let dns = json!({"domain": "a.test", "search": ["b.test"]});
    let replaced = network(&host, &json!({"ipam": ipam, "dns": dns})).add(&c2, "eth0").ok();
    assert_eq!(replaced["dns"], dns);
}

#[test]
fn keys_that_cannot_work_are_refused_and_change_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut without_gateway = fixed(&[("10.1.0.9/24", "")]);
    without_gateway["addresses"][0].as_object_mut().unwrap().remove("gateway");
    for (keys, words) in [
        (json!({}), ["\"ipam\"", "host-local"]),
        (json!({"ipam": {}}), ["\"ipam\"", "host-local"]),
        (json!({"ipam": without_gateway}), ["10.1.0.9/24", "\"gateway\""]),
        (json!({"ipMasqBackend": "pf", "ipam": ipv4()}), ["ipMasqBackend", "pf"]),
        (json!({"mtu": -1, "ipam": ipv4()}), ["mtu", "-1"]),
    ] {
        let add = call(&host, "ADD", &c1, &config(&keys));
        if reference_differs("it has one code for everything, other words, and leaves its link to DEL") {
            continue;
        }
        let error = host.assert_leaves_nothing(|| add.run().error());
        assert_eq!(error.code, 7, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{keys}: {text}");
    }
    assert_eq!(host.links(), ["lo"]);
}
