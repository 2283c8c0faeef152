//! Links of type macvlan whose master is a VLAN, made for it where there is none.

use serde_json::{Value, json};
use tests::{Chain, Container, Host, Inside as _, address, assert_impossible, at_once, netavark, wire};

use super::examples::assert_puts_containers_into_vlan_20;

/// The namespaces of 20 containers.
const CROWD: usize = 20;

#[test]
fn the_kernel_has_it() {
    Host::new().shell(
        "ip link add name e0 type veth peer name e1
         ip link add name e0.5 link e0 type vlan id 5
         ip link add name x0 link e0.5 type macvlan",
    );
}

/// A host whose `uplink` leads to a machine that has 10.20.0.1 and fd00:20::1 in VLAN 20.
fn trunk() -> (Host, Host) {
    let (host, outside) = wire();
    outside.shell(
        "ip link add uplink.20 up link uplink type vlan id 20
         ip addr add 10.20.0.1/24 dev uplink.20; ip addr add fd00:20::1/64 dev uplink.20 nodad",
    );
    (host, outside)
}

/// A host whose `uplink` has no neighbour.
pub(super) fn alone() -> Host {
    let host = Host::new();
    host.shell("ip link add uplink up type veth peer name far; ip link set far up");
    host
}

fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    let mut plugin = json!({"type": "macvlan", "enabledad": false});
    plugin.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.chain(&json!({"name": name, "plugins": [plugin]}))
}

/// Addresses from .`first` and ::`first` on.
fn subnet(first: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "10.20.0.0/24", "rangeStart": format!("10.20.0.{first}")}],
        [{"subnet": "fd00:20::/64", "rangeStart": format!("fd00:20::{first}")}]
    ]})
}

/// All links of VLANs, and all files that say who holds one.
#[track_caller]
pub(super) fn parents(host: &Host) -> String {
    host.shell(
        "ip -br link show type vlan | cut -d' ' -f1; [ ! -e /run/ferrocni ] || find /run/ferrocni/parents -mindepth 1",
    )
}

pub(super) const NOTHING: &str = "";

#[test]
fn a_tagged_parent_is_made_for_the_first_and_goes_with_the_last() {
    let host = alone();
    let (a, b, c) = (host.container("a"), host.container("b"), host.container("c"));
    let (one, two) = (
        network(&host, "one", &json!({"master": "uplink.20"})),
        network(&host, "two", &json!({"master": "uplink.20"})),
    );
    host.assert_leaves_nothing(|| {
        one.status().ok();
        one.add(&a, "eth0").ok();
        let link = host.link("uplink.20");
        assert_eq!((&link["linkinfo"]["info_data"]["id"], &link["link"]), (&json!(20), &json!("uplink")));
        assert_eq!((&link["ifalias"], host.is_up("uplink.20")), (&json!("ferrocni:parent"), true));
        assert_eq!(
            host.ip_json(["address", "show", "dev", "uplink.20"])[0]["addr_info"],
            json!([]),
            "not even link-local"
        );
        assert_eq!(host.run(["cat", "/proc/sys/net/ipv6/conf/uplink.20/accept_ra"]).trim(), "0");
        one.add(&b, "eth0").ok();
        two.add(&c, "eth0").ok();
        assert_eq!(host.link("uplink.20")["ifindex"], link["ifindex"], "one for all");
        for container in [&a, &b, &c] {
            assert_eq!(container.link("eth0")["link_index"], link["ifindex"]);
        }
        two.check(&c, "eth0").ok();
        two.del(&c, "eth0").ok();
        one.del(&a, "eth0").ok();
        one.del(&a, "eth0").ok();
        one.check(&b, "eth0").ok();
        one.del(&b, "eth0").ok();
        assert_eq!(parents(&host), NOTHING);
    });
}

#[test]
fn containers_are_in_the_vlan_of_the_wire_and_in_no_other() {
    let (host, outside) = trunk();
    let (web, peer, stranger) = (host.container("web"), host.container("peer"), host.container("stranger"));
    let twenty = network(&host, "twenty", &json!({"master": "uplink.20", "ipam": subnet(50)}));
    let thirty = network(&host, "thirty", &json!({"master": "uplink.30", "ipam": subnet(90)}));
    let result = twenty.add(&web, "eth0").ok();
    twenty.add(&peer, "eth0").ok();
    thirty.add(&stranger, "eth0").ok();
    let (_web, _outside) = (web.listen_tcp(80), outside.listen_tcp(80));
    for (index, on_wire) in [(0, "10.20.0.1:80"), (1, "[fd00:20::1]:80")] {
        let to_web = format!("{}:80", address(&result, index));
        outside.assert_reaches_tcp(&to_web);
        peer.assert_reaches_tcp(&to_web);
        peer.assert_reaches_tcp(on_wire);
        stranger.assert_blocked_tcp(&to_web);
        stranger.assert_blocked_tcp(on_wire);
        host.assert_blocked_tcp(on_wire);
    }
}

#[test]
fn a_link_of_the_administrator_s_is_used_and_never_removed() {
    let (host, outside) = trunk();
    let c1 = host.container("c1");
    host.shell("ip link add uplink.20 mtu 1400 link uplink type vlan id 20; ip link set uplink.20 up alias mine");
    let network = network(&host, "net", &json!({"master": "uplink.20", "ipam": subnet(50)}));
    let _outside = outside.listen_tcp(80);
    host.assert_leaves_nothing(|| {
        network.status().ok();
        network.add(&c1, "eth0").ok();
        assert_eq!(c1.link("eth0")["mtu"], 1400);
        assert_eq!(parents(&host), "uplink.20@uplink\n", "nothing is written down");
        c1.assert_reaches_tcp("10.20.0.1:80");
        network.check(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        network.gc(&[]).ok();
    });
    assert_eq!(host.link("uplink.20")["ifalias"], "mine");
}

#[test]
fn two_networks_that_race_for_the_same_parent_do_not_trip() {
    let host = alone();
    let container = |i: usize| host.container(&format!("{}{i}", ["one", "two"][i % 2]));
    let containers: Vec<Container> = (0..CROWD).map(container).collect();
    let (one, two) = (
        network(&host, "one", &json!({"master": "uplink.20"})),
        network(&host, "two", &json!({"master": "uplink.20"})),
    );
    let network_of = |container: &Container| if container.id.starts_with("one") { &one } else { &two };
    at_once(&containers, |container| drop(network_of(container).add(container, "eth0").ok()));
    for container in &containers {
        assert_eq!(container.link("eth0")["link_index"], host.link("uplink.20")["ifindex"]);
    }
    at_once(&containers, |container| drop(network_of(container).del(container, "eth0").ok()));
    assert_eq!(parents(&host), NOTHING);
    // Some come while others go.
    at_once(&containers, |container| {
        let network = network_of(container);
        for _ in 0..3 {
            network.add(container, "eth0").ok();
            network.del(container, "eth0").ok();
        }
    });
    assert_eq!(parents(&host), NOTHING);
}

/// What a runtime does then: DEL without the namespace, and at some time GC.
#[test]
fn an_add_that_is_killed_anywhere_leaves_no_parent_and_no_file() {
    let host = alone();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({"master": "uplink.20"}));
    let kills = network.add_all_but_last(&c1, "eth0").killed_at_every_change(|point| {
        network.del_blind(&c1, "eth0").ok();
        network.gc(&[]).ok();
        assert_eq!(parents(&host), NOTHING, "killed at {point}");
        assert_eq!(c1.links(), ["lo"], "killed at {point}: the parent takes the container's link along");
    });
    assert!(kills > 10, "killed {kills} times only");
}

/// The same while another container is connected, which stays connected.
#[test]
fn a_del_that_is_killed_anywhere_takes_the_parent_from_nobody() {
    let host = alone();
    let (stays, goes) = (host.container("stays"), host.container("goes"));
    let keys = json!({"master": "uplink.20"});
    let network = network(&host, "net", &keys);
    network.add(&stays, "eth0").ok();
    network.add(&goes, "eth0").ok();
    let mut config = json!({"name": "net", "type": "macvlan"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let del = host.cni("macvlan").command("DEL").container(&goes).config(&config);
    let kills = del.killed_at_every_change(|point| {
        network.del(&goes, "eth0").ok();
        network.gc(&[("stays", "eth0")]).ok();
        assert_eq!(stays.link("eth0")["link_index"], host.link("uplink.20")["ifindex"], "killed at {point}");
        network.add(&goes, "eth0").ok();
    });
    assert!(kills > 5, "killed {kills} times only");
    for container in [&stays, &goes] {
        network.del(container, "eth0").ok();
    }
    assert_eq!(parents(&host), NOTHING);
}

/// After a reboot there are neither; a file system or a namespace that outlived it is put in order.
#[test]
fn files_without_links_and_links_without_files_hinder_nobody() {
    let host = alone();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({"master": "uplink.20"}));
    host.write("/run/ferrocni/parents/uplink.20/net:lost:eth0", "");
    network.add(&c1, "eth0").ok();
    network.del(&c1, "eth0").ok();
    assert!(parents(&host).contains("uplink.20@uplink\n"), "somebody may hold it still");
    network.gc(&[]).ok();
    assert_eq!(parents(&host), NOTHING);
    host.shell("ip link add uplink.20 link uplink type vlan id 20; ip link set uplink.20 alias ferrocni:parent");
    network.add(&c1, "eth0").ok();
    assert!(host.link("uplink.20")["flags"].as_array().unwrap().contains(&json!("UP")));
    network.del(&c1, "eth0").ok();
    assert_eq!(parents(&host), NOTHING);
}

#[test]
fn gc_lets_go_for_those_of_its_network_that_are_not_listed() {
    let host = alone();
    let (one, two) = (
        network(&host, "one", &json!({"master": "uplink.20"})),
        network(&host, "two", &json!({"master": "uplink.20"})),
    );
    let (stays, elsewhere) = (host.container("stays"), host.container("elsewhere"));
    one.add(&stays, "eth0").ok();
    let before = parents(&host);
    two.add(&elsewhere, "eth0").ok();
    let _elsewhere = host.lose(elsewhere);
    one.gc(&[("stays", "eth0")]).ok();
    assert_ne!(parents(&host), before, "the other network's is not one's business");
    two.gc(&[]).ok();
    assert_eq!(parents(&host), before);
    one.check(&stays, "eth0").ok();
    let _stays = host.lose(stays);
    one.gc(&[]).ok();
    assert_eq!(parents(&host), NOTHING);
}

#[test]
fn a_parent_that_cannot_be_is_an_error_that_says_why_and_nothing_is_left() {
    let host = alone();
    let c1 = host.container("c1");
    host.shell(
        "ip link add other link uplink type vlan id 21; ip link add uplink.22 link uplink type vlan id 23
         ip link add low type veth peer name far2",
    );
    let cases: [(Value, u64, &[&str]); 6] = [
        (json!({"master": "nowhere.20"}), 999, &["nowhere.20 cannot be made", "nowhere does not exist"]),
        (json!({"master": "uplink.4095"}), 7, &["4095 is not a VLAN"]),
        (json!({"master": "uplink.21"}), 999, &["VLAN 21 of uplink is other already", "name that link"]),
        (json!({"master": "uplink.22"}), 999, &["uplink.22", "is of VLAN 23, not 22"]),
        (json!({"master": "low.20"}), 999, &["low.20 cannot go up", "is down"]),
        (json!({"master": "uplink.20", "mtu": 9000}), 7, &["9000", "1500"]),
    ];
    for (keys, code, words) in cases {
        assert_impossible(&network(&host, "net", &keys), &c1, code, words);
    }
}

#[test]
fn check_notices_another_link_in_the_parent_s_place() {
    let host = alone();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({"master": "uplink.20"}));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    host.shell(
        "ip link set uplink.20 down; ip link set uplink.20 name kept; ip link add uplink.20 link far type vlan id 20",
    );
    let error = network.check(&c1, "eth0").error();
    let words = ["under interface eth0", "expected uplink.20", "found kept"];
    assert!(words.iter().all(|word| error.msg.contains(word)), "{error:?}");
}

#[test]
fn the_example_puts_containers_into_a_vlan_of_the_wire() {
    assert_puts_containers_into_vlan_20("macvlan-trunk");
}

/// The driver that `podman network create -d` takes beside Podman's own.
#[test]
fn netavark_s_driver_of_that_name_makes_the_tagged_parent() {
    let (host, outside) = trunk();
    host.run(["mkdir", "-p", "/run/containers/networks"]);
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let mut network = netavark::with_options(netavark::on_the_wire("macvlan-trunk", "lan"), &json!({"vlan": "20"}));
    network["subnets"] = json!([{"subnet": "10.20.0.0/24", "gateway": "10.20.0.1"}]);
    let calls = [(&c1, "10.20.0.9"), (&c2, "10.20.0.8")].map(|(container, address)| {
        container.run(["ip", "link", "set", "lo", "up"]);
        host.netavark(container).on(&network, "eth0", &[address])
    });
    host.assert_leaves_nothing(|| {
        calls.iter().for_each(|call| drop(call.setup().ok()));
        outside.assert_pings("10.20.0.9");
        calls[0].teardown().ok();
        outside.assert_pings("10.20.0.8");
        calls[1].teardown().ok();
        assert_eq!(parents(&host), NOTHING);
    });
}
