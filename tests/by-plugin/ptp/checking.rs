//! What CHECK notices.

use serde_json::{Value, json};
use tests::{Host, Inside as _, reference_differs};

use super::{call, config, dual_stack, host_end, network};

fn keys() -> Value {
    json!({"ipMasq": true, "ipam": dual_stack()})
}

/// Where something is changed, and how (`$END` is the host's end); the words that CHECK has to find for it; why the
/// reference does not notice.
type Case = (Place, &'static str, &'static [&'static str], Option<&'static str>);

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Host,
    Container,
}
use Place::{Container, Host as OnHost};

const NOT_THE_HOST: Option<&str> = Some("it does not look at the host");
const NOT_ITS_ROUTES: Option<&str> = Some("it looks at the IPAM plugin's routes only");
const NOT_THE_STATE: Option<&str> = Some("it does not look at the state");
const NOT_THE_GATEWAY: Option<&str> = Some("it compares destinations only");

const CASES: &[Case] = &[
    (Container, "ip link del eth0", &["eth0", "found none"], None),
    (Container, "ip link set eth0 down", &["state of interface eth0", "expected up", "found down"], NOT_THE_STATE),
    (Container, "ip addr del 10.1.0.2/24 dev eth0", &["address of", "expected 10.1.0.2/24", "fd00:1::2/64"], None),
    (Container, "ip addr del fd00:1::2/64 dev eth0", &["address of", "expected fd00:1::2/64", "10.1.0.2/24"], None),
    (Container, "ip link set eth0 address 02:00:00:00:00:66", &["hardware address", "02:00:00:00:00:66"], None),
    (Container, "ip route del default", &["route", "0.0.0.0/0", "found none"], None),
    (Container, "ip -6 route del default", &["route", "::/0", "found none"], None),
    (Container, "ip route del 10.1.0.0/24", &["route", "10.1.0.0/24 via 10.1.0.1", "found none"], NOT_ITS_ROUTES),
    (
        Container,
        "ip route replace 10.1.0.0/24 dev eth0",
        &["route", "10.1.0.0/24 via 10.1.0.1", "another gateway"],
        NOT_THE_GATEWAY,
    ),
    (Container, "ip -6 route del fd00:1::1", &["route", "fd00:1::1/128", "found none"], NOT_ITS_ROUTES),
    (OnHost, "ip link set $END down", &["host's end", "expected up", "found down"], NOT_THE_HOST),
    (
        OnHost,
        "ip addr del 10.1.0.1/32 dev $END",
        &["host's end", "gateway address 10.1.0.1", "fd00:1::1"],
        NOT_THE_HOST,
    ),
    (OnHost, "ip addr del fd00:1::1/128 dev $END", &["host's end", "address fd00:1::1", "10.1.0.1/32"], NOT_THE_HOST),
    (OnHost, "ip route del 10.1.0.2", &["host's end", "a route to 10.1.0.2", "found none"], NOT_THE_HOST),
    (
        OnHost,
        "ip route replace 10.1.0.2 dev uplink",
        &["host's end", "a route to 10.1.0.2", "one to link uplink"],
        NOT_THE_HOST,
    ),
    (OnHost, "ip -6 route del fd00:1::2", &["host's end", "a route to fd00:1::2", "found none"], NOT_THE_HOST),
    (
        OnHost,
        "nft delete element inet ferrocni masquerade4 '{10.1.0.2}'",
        &["10.1.0.2", "not in the nftables ruleset"],
        NOT_THE_HOST,
    ),
    (OnHost, "nft flush ruleset", &["not in the nftables ruleset"], NOT_THE_HOST),
];

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    for (place, change, words, reference) in CASES {
        if reference.is_some_and(reference_differs) {
            continue;
        }
        let host = Host::new();
        let c1 = host.container("c1");
        host.shell("ip link add uplink up type bridge");
        let network = network(&host, &keys());
        let result = network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        match place {
            OnHost => host.shell(&format!("END={}; {change}", host_end(&result))),
            Container => c1.shell(change),
        };
        let error = network.check(&c1, "eth0").error();
        let text = format!("{}: {}", error.msg, error.details);
        let told = words.iter().all(|word| text.contains(word));
        assert!(told || reference_differs("it does not say what it found"), "{change}: {text}");
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn check_notices_what_iptables_lost() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"ipMasq": true, "ipMasqBackend": "iptables", "ipam": dual_stack()}));
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
    let network = network(&host, &keys());
    network.add(&c1, "eth0").ok();
    c1.shell(
        "ip route add table 100 10.1.0.1 dev eth0
         ip route add table 100 10.1.0.0/24 via 10.1.0.1
         ip route add table 100 default via 10.1.0.1
         ip route flush table main; ip rule add from 10.1.0.2 table 100",
    );
    network.check(&c1, "eth0").ok();
}

#[test]
fn check_notices_a_lost_reservation_and_another_namespace() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut config = config(&keys());
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    call(&host, "CHECK", &c1, &config).run().ok();
    assert!(!call(&host, "CHECK", &c1, &config).netns(&c2.netns.to_string_lossy()).run().is_ok());
    host.shell("rm /var/lib/cni/networks/test/[1f]*");
    assert!(!call(&host, "CHECK", &c1, &config).run().is_ok());
}
