//! What CHECK notices.

use serde_json::json;
use tests::Inside as _;

use super::{network, wire};

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("ip link set eth0 down", "ip link set eth0 up", &["state of interface eth0", "expected up", "found down"]),
        (
            "ip link set eth0 type ipvlan mode l3",
            "ip link set eth0 type ipvlan mode l2",
            &["eth0", "expected mode l2 and flag bridge", "found mode l3 and flag bridge"],
        ),
        (
            "ip link set eth0 type ipvlan mode l2 private",
            "ip link set eth0 type ipvlan mode l2 bridge",
            &["eth0", "expected mode l2 and flag bridge", "found mode l2 and flag private"],
        ),
        (
            "ip addr del 192.0.2.100/24 dev eth0",
            "ip addr add 192.0.2.100/24 dev eth0; ip route add default via 192.0.2.2",
            &["address of interface eth0", "192.0.2.100/24", "2001:db8::100/64"],
        ),
        (
            "ip -6 route del default",
            "ip -6 route add default via 2001:db8::2",
            &["route of interface eth0", "::/0", "found none"],
        ),
        (
            "ip link set eth0 down; ip link set eth0 name kept; ip link add eth0 up address $MAC type dummy; $AGAIN",
            "ip link del eth0; ip link set kept name eth0",
            &["kind of interface eth0", "expected ipvlan", "found dummy"],
        ),
        (
            "ip link set eth0 down; ip link set eth0 name kept; ip link add p0 up address $MAC type dummy; ip link add eth0 link p0 type ipvlan mode l2
             $AGAIN",
            "ip link del p0; ip link set kept name eth0",
            &["under interface eth0", "expected uplink", "found"],
        ),
        ("ip link del eth0", "", &["link of interface eth0", "found none"]),
    ];
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let ipam = json!({
        "type": "static",
        "addresses": [{"address": "192.0.2.100/24"}, {"address": "2001:db8::100/64"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.2"}, {"dst": "::/0", "gw": "2001:db8::2"}],
    });
    let network = network("net", &host, &json!({"ipam": ipam}));
    network.add(&c1, "eth0").ok();
    // What makes another link look like the one that is looked for.
    let mac = host.link("uplink")["address"].as_str().unwrap().to_owned();
    let again = "ip link set eth0 up
        ip addr add 192.0.2.100/24 dev eth0; ip addr add 2001:db8::100/64 dev eth0 nodad
        ip route add default via 192.0.2.2 dev eth0; ip -6 route add default via 2001:db8::2 dev eth0";
    for (change, back, words) in cases {
        network.check(&c1, "eth0").ok();
        c1.shell(&change.replace("$MAC", &mac).replace("$AGAIN", again));
        let error = network.check(&c1, "eth0").error();
        let text = format!("{}: {}", error.msg, error.details);
        assert!(words.iter().all(|word| text.contains(word)), "{change}: {text}");
        c1.shell(back);
        if change.contains("name kept") || change.contains("eth0 down") {
            network.del(&c1, "eth0").ok();
            network.add(&c1, "eth0").ok();
        }
    }
}

/// The container's link stays where it was made.
#[test]
fn check_does_not_mind_where_the_default_route_is_meanwhile() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip route add default via 192.0.2.2");
    let network = network("net", &host, &json!({"master": null, "mode": "l3", "ipam": super::subnets(1)}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link add other up type veth peer name far; ip route replace default dev other");
    network.check(&c1, "eth0").ok();
    host.shell("ip route del default");
    network.check(&c1, "eth0").ok();
    network.del(&c1, "eth0").ok();
}
