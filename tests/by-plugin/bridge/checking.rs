//! What CHECK notices.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, reference_differs};

use super::{call, config, dual_stack, host_end, ipam, link, mac, network};

fn keys() -> Value {
    json!({"isDefaultGateway": true, "ipMasq": true, "macspoofchk": true, "ipam": dual_stack()})
}

/// One change, and the words that CHECK has to find for it: first what it expected, then what it found.
struct Case {
    /// On the host; `$END` is the host's end.
    on_host: &'static str,
    in_container: &'static str,
    words: &'static [&'static str],
    reference: Option<&'static str>,
}

fn on_host(line: &'static str, words: &'static [&'static str]) -> Case {
    Case { on_host: line, in_container: "", words, reference: None }
}

fn inside(line: &'static str, words: &'static [&'static str]) -> Case {
    Case { on_host: "", in_container: line, words, reference: None }
}

impl Case {
    fn unnoticed_by_the_reference(self, why: &'static str) -> Self {
        Self { reference: Some(why), ..self }
    }
}

const NO_RULES: &str = "it does not look at rules";

fn cases() -> Vec<Case> {
    vec![
        on_host("ip link set $END down", &["host's end", "expected up", "found down"])
            .unnoticed_by_the_reference("it does not look at the state"),
        on_host("ip link set $END nomaster", &["host's end", "a port of br0", "not its port"]),
        on_host("ip link set $END master other", &["host's end", "a port of br0", "not its port"]),
        inside("ip link del eth0", &["eth0", "found none"]),
        inside("ip link set eth0 down", &["state of interface eth0", "expected up", "found down"])
            .unnoticed_by_the_reference("it does not look at the state"),
        inside(
            "ip addr del 10.1.0.2/24 dev eth0",
            &["address of interface eth0", "expected 10.1.0.2/24", "fd00:1::2/64"],
        ),
        inside(
            "ip addr del fd00:1::2/64 dev eth0",
            &["address of interface eth0", "expected fd00:1::2/64", "10.1.0.2/24"],
        ),
        inside("ip route del default", &["route of interface eth0", "0.0.0.0/0 via 10.1.0.1", "found none"]),
        inside("ip -6 route del default", &["route of interface eth0", "::/0 via fd00:1::1", "found none"]),
        inside("ip route replace default via 10.1.0.9", &["route", "0.0.0.0/0 via 10.1.0.1", "another gateway"])
            .unnoticed_by_the_reference("it compares destinations only"),
        inside("ip link set eth0 address 02:00:00:00:00:66", &["hardware address", "expected", "02:00:00:00:00:66"]),
        on_host("ip addr del 10.1.0.1/24 dev br0", &["gateway address", "expected 10.1.0.1/24", "fd00:1::1/64"])
            .unnoticed_by_the_reference("it does not look at the gateway"),
        on_host("ip link set br0 down", &["bridge br0", "expected up", "found down"])
            .unnoticed_by_the_reference("it does not look at the state"),
        on_host("ip link del br0", &["bridge br0", "a bridge", "no such link"]),
        on_host("ip link del br0; ip link add br0 type veth peer name p0", &["br0", "veth", "not a bridge"]),
        on_host(
            "nft delete element inet ferrocni masquerade4 '{10.1.0.2}'",
            &["10.1.0.2", "not in the nftables ruleset"],
        )
        .unnoticed_by_the_reference(NO_RULES),
        on_host("nft flush map inet ferrocni masquerade6", &["fd00:1::2", "not in the nftables ruleset"])
            .unnoticed_by_the_reference(NO_RULES),
        on_host("nft flush set bridge ferrocni guarded_macs", &["not in the nftables ruleset"])
            .unnoticed_by_the_reference(NO_RULES),
        on_host("nft flush table inet ferrocni", &["expected", "found 0"]).unnoticed_by_the_reference(NO_RULES),
        on_host("nft flush table bridge ferrocni", &["expected", "found 0"]).unnoticed_by_the_reference(NO_RULES),
        on_host("nft flush ruleset", &["not in the nftables ruleset"]).unnoticed_by_the_reference(NO_RULES),
    ]
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    for case in cases() {
        if case.reference.is_some_and(reference_differs) {
            continue;
        }
        let change = format!("{}{}", case.on_host, case.in_container);
        let host = Host::new();
        let c1 = host.container("c1");
        host.shell("ip link add other up type bridge");
        let network = network(&host, &keys());
        let result = network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        c1.shell(case.in_container);
        host.shell(&format!("END={}; {}", host_end(&result), case.on_host));
        let error = network.check(&c1, "eth0").error();
        let text = format!("{}: {}", error.msg, error.details);
        let told = case.words.iter().all(|word| text.contains(word));
        assert!(told || reference_differs("it does not say what it found"), "{change}: {text}");
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn check_notices_a_bridge_that_is_no_longer_promiscuous() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"promiscMode": true, "ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    host.shell("ip link set br0 promisc off");
    let error = network.check(&c1, "eth0").error();
    assert!(error.msg.to_lowercase().contains("promisc"), "{error:?}");
}

#[test]
fn check_notices_a_port_that_lost_its_options() {
    for (key, option, words) in [("hairpinMode", "hairpin", "hairpin mode"), ("portIsolation", "isolated", "isolation")]
    {
        let host = Host::new();
        let c1 = host.container("c1");
        let network = network(&host, &json!({key: true, "ipam": dual_stack()}));
        let result = network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        host.shell(&format!("bridge link set dev {} {option} off", host_end(&result)));
        let error = network.check(&c1, "eth0").error();
        assert!(error.msg.contains(words) && error.msg.contains("expected on, found off"), "{error:?}");
    }
}

#[test]
fn check_notices_what_iptables_lost() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network =
        network(&host, &json!({"isGateway": true, "ipMasq": true, "ipMasqBackend": "iptables", "ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    host.shell("ip6tables -t nat -F POSTROUTING");
    let error = network.check(&c1, "eth0").error();
    assert!(format!("{} {}", error.msg, error.details).contains("POSTROUTING"), "{error:?}");
}

/// "must allow for a later chained plugin to have modified networking resources" (specification, CHECK).
#[test]
fn check_finds_routes_that_a_later_plugin_moved_to_another_table() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()}));
    network.add(&c1, "eth0").ok();
    c1.shell("ip route del default; ip route add default via 10.1.0.1 table 100; ip rule add from 10.1.0.2 table 100");
    if !reference_differs("it looks into the main table only") {
        network.check(&c1, "eth0").ok();
    }
}

/// IPv6 keeps the default routes of both as one with two ways.
#[test]
fn check_finds_the_default_routes_of_a_container_on_two_networks() {
    let host = Host::new();
    let c1 = host.container("c1");
    let first = network(&host, &json!({"isDefaultGateway": true, "ipam": dual_stack()}));
    let mut second = config(&json!({"isDefaultGateway": true, "ipam": ipam(&["10.2.0.0/24", "fd00:2::/64"])}));
    second["bridge"] = json!("br1");
    let second = host.chain(&json!({"name": "second", "plugins": [second]}));
    first.add(&c1, "eth0").ok();
    let added = second.add(&c1, "eth1");
    if reference_differs("a second default route is refused") {
        return;
    }
    added.ok();
    first.check(&c1, "eth0").ok();
    second.check(&c1, "eth1").ok();
    c1.shell("ip -6 route del default via fd00:2::1");
    first.check(&c1, "eth0").ok();
    assert!(second.check(&c1, "eth1").error().msg.contains("::/0 via fd00:2::1"));
}

#[test]
fn check_knows_a_namespace_by_every_path_and_from_every_other() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut config = config(&keys());
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    call(&host, "CHECK", &c1, &config).run().ok();
    host.shell("touch /run/by-id; mount --bind /run/netns/c1 /run/by-id");
    let elsewhere = call(&host, "CHECK", &c1, &config).netns("/run/../run/by-id").run();
    assert!(elsewhere.is_ok() || reference_differs("it compares paths as text"), "{}", elsewhere.finished);
    let other = call(&host, "CHECK", &c1, &config).netns("/run/netns/c2").run();
    assert!(!other.is_ok());
    c2.shell("ip link add eth0 type bridge");
    assert!(!call(&host, "CHECK", &c1, &config).netns("/run/netns/c2").run().is_ok());
    assert_eq!(link(&c2, "eth0")["linkinfo"]["info_kind"], "bridge");
}

/// A container gives its links whichever numbers and hardware addresses it likes.
#[test]
fn check_notices_a_pair_with_the_numbers_of_another_container_s() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &json!({}));
    let ends = |container: &Container| {
        [link(container, "eth0")["ifindex"].clone(), link(container, "eth0")["link_index"].clone()]
    };
    // The first pair's numbers have to differ from one another.
    host.shell("ip link add unused type bridge; ip link add unused2 type bridge");
    network.add(&c1, "eth0").ok();
    let result = network.add(&c2, "eth0").ok();
    let [inside, outside] = ends(&c1);
    let mac = mac(&result, 2);
    c2.shell(&format!(
        "ip link del eth0; ip link add eth0 index {inside} address {mac} type veth peer name x index {outside}
         ip link set eth0 up"
    ));
    let error = network.check(&c2, "eth0").error();
    assert!(error.msg.contains("leads to the container") && error.msg.contains("found none"), "{error:?}");
    network.check(&c1, "eth0").ok();
}

#[test]
fn check_notices_a_lost_reservation() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &keys());
    network.add(&c1, "eth0").ok();
    host.shell("rm /var/lib/cni/networks/net/[1f]*");
    assert!(!network.check(&c1, "eth0").is_ok());
}
