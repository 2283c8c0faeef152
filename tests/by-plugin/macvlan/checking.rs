//! What CHECK notices.

use serde_json::json;
use tests::{Inside as _, reference_differs};

use super::{call, config, ipv4, network, of_the_wire, wire};

/// One change in the container, and the words that CHECK has to find for it: first what it expected, then what it found.
struct Case {
    change: &'static str,
    words: &'static [&'static str],
    reference: Option<&'static str>,
}

fn case(change: &'static str, words: &'static [&'static str]) -> Case {
    Case { change, words, reference: None }
}

impl Case {
    fn unnoticed_by_the_reference(self, why: &'static str) -> Self {
        Self { reference: Some(why), ..self }
    }
}

fn cases() -> [Case; 11] {
    [
        case("ip link del eth0", &["link of interface eth0", "found none"]),
        case("ip link set eth0 down", &["state of interface eth0", "expected up", "found down"])
            .unnoticed_by_the_reference("it does not look at the state"),
        case("ip link set eth0 address 02:00:00:00:00:66", &["hardware address", "expected", "02:00:00:00:00:66"]),
        case("ip link set eth0 type macvlan mode private", &["mode", "expected bridge", "found private"]),
        case(
            "ip addr del 192.0.2.100/24 dev eth0",
            &["address of interface eth0", "192.0.2.100/24", "2001:db8::100/64"],
        ),
        case(
            "ip addr del 2001:db8::100/64 dev eth0",
            &["address of interface eth0", "2001:db8::100/64", "192.0.2.100/24"],
        ),
        case("ip route del default", &["route of interface eth0", "0.0.0.0/0", "found none"]),
        case("ip -6 route del default", &["route of interface eth0", "::/0", "found none"]),
        // Another link with all that is in the result.
        case("$OTHER type bridge; $AGAIN", &["kind of interface eth0", "expected macvlan", "found bridge"]),
        case(
            "$OTHER link other type macvlan mode bridge; $AGAIN",
            &["under interface eth0", "expected uplink", "found"],
        )
        .unnoticed_by_the_reference("it does not look at the parent"),
        case("$OTHER link other type ifb; $AGAIN", &["kind of interface eth0", "expected macvlan", "found ifb"]),
    ]
}

/// Replaces eth0 by a link of other kind that has its addresses.
const REPLACE: &str = "
    MAC=$(cat /sys/class/net/eth0/address 2>/dev/null || ip -j link show eth0 | sed 's/.*\"address\":\"\\([^\"]*\\).*/\\1/')
    OTHER='ip link del eth0; ip link add eth0 address '$MAC
    AGAIN='ip link set eth0 up; ip addr add 192.0.2.100/24 dev eth0; ip addr add 2001:db8::100/64 dev eth0 nodad;
           ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2'";

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    for case in cases() {
        if case.reference.is_some_and(reference_differs) {
            continue;
        }
        let (host, _outside) = wire();
        let c1 = host.container("c1");
        let network = network(&host, &json!({"ipam": of_the_wire()}));
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        c1.shell("ip link add other up type veth");
        c1.shell(&format!("{REPLACE}\neval \"{}\"", case.change));
        let error = network.check(&c1, "eth0").error();
        let text = format!("{}: {}", error.msg, error.details);
        let told = case.words.iter().all(|word| text.contains(word));
        assert!(told || reference_differs("it does not say what it found"), "{}: {text}", case.change);
        network.del(&c1, "eth0").ok();
    }
}

/// A container gives its links whichever numbers it likes.
#[test]
fn check_notices_a_parent_in_the_container_with_the_number_of_the_host_s() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, &json!({}));
    let result = network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    c1.shell(&format!(
        "ip link del eth0; ip link add other index {} up type veth
         ip link add eth0 link other address {mac} up type macvlan mode bridge",
        host.link("uplink")["ifindex"],
    ));
    let error = network.check(&c1, "eth0").error();
    assert!(error.msg.contains("under interface eth0") && error.msg.contains("another link"), "{error:?}");
}

#[test]
fn check_notices_a_lost_reservation() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"ipam": of_the_wire()}));
    network.add(&c1, "eth0").ok();
    host.shell("rm /var/lib/cni/networks/net/[12]*");
    assert!(!network.check(&c1, "eth0").is_ok());
}

/// The container's link stays where it was made.
#[test]
fn check_does_not_mind_where_the_default_route_is_meanwhile() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    host.shell("ip route add default via 192.0.2.2");
    let network = network(&host, &json!({"master": null, "ipam": ipv4()}));
    network.add(&c1, "eth0").ok();
    host.shell(
        "ip link add other up type veth peer name far; ip link set far up; ip addr add 198.51.100.1/24 dev other
         ip route replace default via 198.51.100.2",
    );
    network.check(&c1, "eth0").ok();
    host.shell("ip route del default");
    if !reference_differs("it wants a default route, even for a DEL") {
        network.check(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn check_finds_the_parent_by_the_name_that_the_network_has_for_it() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"ipam": ipv4()}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link set uplink down; ip link set uplink name up0; ip link set up0 up");
    let error = network.check(&c1, "eth0").error();
    assert!(error.msg.contains("uplink") || reference_differs("it says \"link not found\""), "{error:?}");
    host.shell("ip link property add dev up0 altname uplink");
    network.check(&c1, "eth0").ok();
}

#[test]
fn the_parent_may_be_named_by_an_alternative_name() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    for name in ["up0", "the-interface-of-the-host-that-leads-to-the-wire"] {
        if name.len() > 15 && reference_differs("its release of 2022 does not find it") {
            return;
        }
        host.shell(&format!("ip link property add dev uplink altname {name}"));
        let network = network(&host, &json!({"master": name, "ipam": ipv4()}));
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    }
}

#[test]
fn check_knows_a_namespace_by_every_path_and_from_every_other() {
    let (host, _outside) = wire();
    let (c1, _c2) = (host.container("c1"), host.container("c2"));
    let mut config = config(&json!({"ipam": ipv4()}));
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    host.shell("touch /run/by-id; mount --bind /run/netns/c1 /run/by-id");
    let elsewhere = call(&host, "CHECK", &c1, &config).netns("/run/../run/by-id").run();
    assert!(elsewhere.is_ok() || reference_differs("it compares paths as text"), "{}", elsewhere.finished);
    assert!(!call(&host, "CHECK", &c1, &config).netns("/run/netns/c2").run().is_ok());
}
