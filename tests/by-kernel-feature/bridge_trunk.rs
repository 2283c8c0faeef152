//! A bridge whose way to the wire is a VLAN: the plugin bridge with an `uplink` that has a tag. What holds for every `uplink`
//! is tested in `by_plugin::bridge::uplink`.

use serde_json::{Value, json};
use tests::{Capture, Chain, Container, Host, Inside as _, address, assert_impossible, at_once, every_plugin_rules};

use super::bridge_vlan::vlans;
use super::examples::assert_puts_containers_into_vlan_20;
use super::macvlan_trunk::{NOTHING, alone, parents};

/// The namespaces of ten containers.
const CROWD: usize = 10;

fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    let mut config = json!({"type": "bridge", "bridge": "br0"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.chain(&json!({"name": name, "plugins": [config]}))
}

/// Addresses from `first` on, in one subnet whatever the VLAN: who is separated is so by the tag.
fn ipam(first: u8) -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "10.1.0.0/24", "rangeStart": format!("10.1.0.{first}")}],
        [{"subnet": "fd00:1::/64", "rangeStart": format!("fd00:1::{first}")}],
    ]})
}

#[test]
fn the_kernel_has_it() {
    Host::new().shell(
        "ip link add name e0 type veth peer name e1
         ip link add name br0 type bridge vlan_filtering 1
         ip link add name e0.5 link e0 type vlan id 5
         ip link set e0.5 master br0
         bridge vlan add dev e0.5 vid 5 pvid untagged",
    );
}

#[test]
fn the_rules_of_every_plugin_hold() {
    for keys in [json!({"uplink": "uplink.20", "ipam": ipam(10)}), json!({"uplink": "uplink", "vlan": 20})] {
        let host = alone();
        every_plugin_rules(&network(&host, "net", &keys), &host.container("c1"), "eth0");
    }
}

/// One host has a bridge for both VLANs, the other one for each.
#[test]
fn containers_on_two_hosts_reach_each_other_in_their_vlan_and_in_no_other() {
    let here = Host::new();
    let there = here.neighbour();
    let [here_20, here_30] = ["a20", "a30"].map(|name| here.container(name));
    let [there_20, there_30] = ["b20", "b30"].map(|name| there.container(name));
    let add = |host: &Host, container: &Container, keys: Value| network(host, "net", &keys).add(container, "eth0").ok();
    let preserve = json!({"uplink": "uplink", "vlan": 20, "preserveDefaultVlan": true, "ipam": ipam(10)});
    let to_here_20 = add(&here, &here_20, preserve);
    add(&here, &here_30, json!({"uplink": "uplink.30", "vlan": 30, "ipam": ipam(20)}));
    add(&there, &there_20, json!({"uplink": "uplink.20", "bridge": "br20", "ipam": ipam(30)}));
    let to_there_30 = add(&there, &there_30, json!({"uplink": "uplink.30", "bridge": "br30", "ipam": ipam(40)}));
    assert_eq!([vlans(&here, "uplink.20"), vlans(&here, "uplink.30")], ["20 pvid untagged", "30 pvid untagged"]);

    let (_here_20, _there_30) = (here_20.listen_tcp(80), there_30.listen_tcp(80));
    let wire = Capture::start(&there, "wire", "-i uplink tcp");
    for index in [0, 1] {
        let to_here_20 = format!("{}:80", address(&to_here_20, index));
        let to_there_30 = format!("{}:80", address(&to_there_30, index));
        there_20.assert_reaches_tcp(&to_here_20);
        here_30.assert_reaches_tcp(&to_there_30);
        for stranger in [&here_30, &there_30] {
            stranger.assert_blocked_tcp(&to_here_20);
        }
        for stranger in [&here_20, &there_20] {
            stranger.assert_blocked_tcp(&to_there_30);
        }
    }
    for words in
        ["vlan 20.*10.1.0.30.*10.1.0.10.80", "vlan 20.*fd00:1::30.*fd00:1::10.80", "vlan 30.*10.1.0.20.*10.1.0.40.80"]
    {
        wire.assert_sees(words);
    }
    // What the wire carries without a tag is the hosts' as before.
    here.assert_pings("192.0.2.2");
}

#[test]
fn a_tagged_link_is_made_for_the_first_and_goes_with_the_last() {
    let host = alone();
    let (a, b, c) = (host.container("a"), host.container("b"), host.container("c"));
    let (by_name, by_key) = (
        network(&host, "one", &json!({"uplink": "uplink.20", "vlan": 20})),
        network(&host, "two", &json!({"uplink": "uplink", "vlan": 20})),
    );
    host.assert_leaves_nothing(|| {
        by_name.status().ok();
        by_name.add(&a, "eth0").ok();
        let link = host.link("uplink.20");
        assert_eq!((&link["linkinfo"]["info_data"]["id"], &link["link"]), (&json!(20), &json!("uplink")));
        assert_eq!((&link["ifalias"], &link["master"]), (&json!("ferrocni:parent"), &json!("br0")));
        assert_eq!(vlans(&host, "uplink.20"), "20 pvid untagged");
        by_key.status().ok();
        by_name.add(&b, "eth0").ok();
        by_key.add(&c, "eth0").ok();
        assert_eq!(host.link("uplink.20")["ifindex"], link["ifindex"], "one for all");
        by_name.del(&a, "eth0").ok();
        by_name.del(&b, "eth0").ok();
        by_key.check(&c, "eth0").ok();
        by_key.del_blind(&c, "eth0").ok();
        assert_eq!(parents(&host), NOTHING);
    });
    // The NIC itself goes, and the tagged link with it.
    by_key.add(&c, "eth0").ok();
    host.shell("ip link del uplink");
    by_key.del(&c, "eth0").ok();
    assert_eq!(parents(&host), NOTHING);
}

#[test]
fn a_link_of_the_administrator_s_is_used_and_given_back() {
    let host = alone();
    let c1 = host.container("c1");
    host.shell("ip link add uplink.20 mtu 1400 link uplink type vlan id 20; ip link set uplink.20 up alias mine");
    let network = network(&host, "net", &json!({"uplink": "uplink", "vlan": 20}));
    host.assert_leaves_nothing(|| {
        network.status().ok();
        network.add(&c1, "eth0").ok();
        assert_eq!((&c1.link("eth0")["mtu"], &host.link("uplink.20")["master"]), (&json!(1400), &json!("br0")));
        network.check(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
    });
    let link = host.link("uplink.20");
    assert_eq!((&link["ifalias"], &link["master"]), (&json!("mine"), &Value::Null));
}

#[test]
fn networks_that_race_for_the_same_link_do_not_trip() {
    let host = alone();
    let container = |i: usize| host.container(&format!("{}{i}", ["one", "two"][i % 2]));
    let containers: Vec<Container> = (0..CROWD).map(container).collect();
    let (one, two) = (
        network(&host, "one", &json!({"uplink": "uplink.20", "vlan": 20})),
        network(&host, "two", &json!({"uplink": "uplink", "vlan": 20})),
    );
    let network_of = |container: &Container| if container.id.starts_with("one") { &one } else { &two };
    at_once(&containers, |container| {
        let network = network_of(container);
        network.add(container, "eth0").ok();
        network.check(container, "eth0").ok();
    });
    assert_eq!(vlans(&host, "uplink.20"), "20 pvid untagged");
    // Some come while others go.
    at_once(&containers, |container| {
        let network = network_of(container);
        network.del(container, "eth0").ok();
        network.add(container, "eth0").ok();
        network.del(container, "eth0").ok();
    });
    assert_eq!(parents(&host), NOTHING);
}

/// What a runtime does then: DEL without the namespace, and at some time GC.
#[test]
fn an_add_that_is_killed_anywhere_leaves_no_link_and_no_file() {
    let host = alone();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({"uplink": "uplink.20", "vlan": 20}));
    let kills = network.add_all_but_last(&c1, "eth0").killed_at_every("sendto", |point| {
        network.del_blind(&c1, "eth0").ok();
        network.gc(&[]).ok();
        assert_eq!(parents(&host), NOTHING, "killed at {point}");
    });
    assert!(kills > 5, "killed {kills} times only");
}

#[test]
fn a_link_that_cannot_be_is_an_error_that_says_why_and_nothing_is_left() {
    let host = alone();
    let (c1, other) = (host.container("c1"), host.container("other"));
    host.shell(
        "ip link add twenty-one link uplink type vlan id 21; ip link add uplink.22 link uplink type vlan id 23
         ip link add low type veth peer name far2; ip link add name br1 up type bridge vlan_filtering 1",
    );
    network(&host, "other", &json!({"uplink": "uplink.20", "vlan": 20})).add(&other, "eth0").ok();
    let cases: [(Value, u64, &[&str]); 10] = [
        (json!({"uplink": "nowhere.24"}), 999, &["nowhere.24 cannot be made", "nowhere does not exist"]),
        (json!({"uplink": "uplink.4095"}), 7, &["4095 is not a VLAN"]),
        (json!({"uplink": "uplink.24", "vlan": 25}), 7, &["uplink.24", "\"vlan\" is 25"]),
        (json!({"uplink": "uplink.24", "vlanTrunk": [{"id": 24}]}), 7, &["uplink", "vlanTrunk", "yourself"]),
        (json!({"uplink": "uplink.21"}), 999, &["VLAN 21 of uplink is twenty-one already", "name that link"]),
        (json!({"uplink": "uplink.22"}), 999, &["uplink.22", "is of VLAN 23, not 22"]),
        (json!({"uplink": "low.24"}), 999, &["low.24 cannot go up", "is down"]),
        (
            json!({"uplink": "uplink.20", "vlan": 20, "bridge": "br1"}),
            999,
            &["a port of br0 in VLAN 20", "br1 in VLAN 20"],
        ),
        (json!({"uplink": "uplink.20"}), 999, &["a port of br0 in VLAN 20 already", "cannot be one of br0"]),
        (json!({"uplink": "uplink.20.20", "vlan": 20}), 999, &["uplink.20.20", "because uplink.20 is", "bridge"]),
    ];
    for (keys, code, words) in cases {
        assert_impossible(&network(&host, "net", &keys), &c1, code, words);
    }
}

/// They share the parent, which the kernel does not let be both.
#[test]
fn macvlan_links_and_a_bridge_on_the_same_tagged_link_keep_each_other_out() {
    let host = alone();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let bridged = network(&host, "bridged", &json!({"uplink": "uplink.20"}));
    let macvlan = host.chain(&json!({"name": "macvlan", "plugins": [{"type": "macvlan", "master": "uplink.20"}]}));
    for (first, second, word) in [(&bridged, &macvlan, "a bridge"), (&macvlan, &bridged, "macvlan or ipvlan")] {
        first.add(&c1, "eth0").ok();
        let error = host.assert_leaves_nothing(|| second.add(&c2, "eth0").error());
        assert!(error.msg.contains("uplink.20") && error.msg.contains(word), "{error:?}");
        first.del(&c1, "eth0").ok();
        assert_eq!(parents(&host), NOTHING);
    }
}

#[test]
fn check_notices_what_became_of_the_link() {
    let host = alone();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({"uplink": "uplink.20", "vlan": 20}));
    network.add(&c1, "eth0").ok();
    let to_vlan_20 = "bridge vlan add dev uplink.20 vid 20 pvid untagged";
    let breaks: [(String, String, [&str; 2]); 6] = [
        (
            "ip link set uplink.20 nomaster".to_owned(),
            format!("ip link set uplink.20 master br0; {to_vlan_20}; bridge vlan del dev uplink.20 vid 1"),
            ["a port of br0", "not its port"],
        ),
        ("ip link set uplink.20 down".to_owned(), "ip link set uplink.20 up".to_owned(), ["up", "down"]),
        ("bridge vlan del dev uplink.20 vid 20".to_owned(), to_vlan_20.to_owned(), ["20 pvid", "none"]),
        (
            "bridge vlan add dev uplink.20 vid 21".to_owned(),
            "bridge vlan del dev uplink.20 vid 21".to_owned(),
            ["20 pvid", "21"],
        ),
        (
            "ip link del uplink.20; ip link add uplink.20 link uplink type vlan id 21
             ip link set uplink.20 up master br0"
                .to_owned(),
            String::new(),
            ["VLAN 21", "not 20"],
        ),
        ("ip link del uplink.20".to_owned(), String::new(), ["\"uplink\"", "does not exist"]),
    ];
    network.check(&c1, "eth0").ok();
    for (harm, cure, words) in breaks {
        host.shell(&harm);
        let error = network.check(&c1, "eth0").error();
        assert!(error.msg.contains("uplink.20"), "{harm}: {error:?}");
        assert!(words.iter().all(|word| error.msg.contains(word)), "{harm}: {error:?}");
        if !cure.is_empty() {
            host.shell(&cure);
            network.check(&c1, "eth0").ok();
        }
    }
    network.del(&c1, "eth0").ok();
    assert_eq!(parents(&host), NOTHING);
}

#[test]
fn gc_removes_the_link_once_nobody_listed_holds_it() {
    let host = alone();
    let (stays, goes) = (host.container("stays"), host.container("goes"));
    let network = network(&host, "net", &json!({"uplink": "uplink.20"}));
    network.add(&stays, "eth0").ok();
    network.add(&goes, "eth0").ok();
    let _goes = host.lose(goes);
    network.gc(&[("stays", "eth0")]).ok();
    network.check(&stays, "eth0").ok();
    let _stays = host.lose(stays);
    network.gc(&[]).ok();
    assert_eq!(parents(&host), NOTHING);
}

#[test]
fn the_example_puts_containers_into_a_vlan_of_the_wire() {
    assert_puts_containers_into_vlan_20("bridge-trunk");
}
