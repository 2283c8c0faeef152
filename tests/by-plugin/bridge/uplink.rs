//! The key `uplink`: the link that leads from the bridge to the wire. Those with a tag are in `by_kernel_feature::bridge_trunk`.

use serde_json::{Value, json};
use tests::{
    Capture, Chain, Container, Host, Inside as _, address, assert_impossible, at_once, every_plugin_rules,
    reference_differs,
};

use super::{config, link};

/// The namespaces of 20 containers.
const CROWD: usize = 20;

/// A host whose `uplink` has no address, and another on the same wire, 192.0.2.2 and 2001:db8::2.
fn wire() -> (Host, Host) {
    let (host, outside) = tests::wire();
    host.shell("ip addr flush dev uplink");
    (host, outside)
}

fn network<'h>(host: &'h Host, name: &str, keys: &Value) -> Chain<'h> {
    let mut config = config(&json!({"uplink": "uplink"}));
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.chain(&json!({"name": name, "plugins": [config]}))
}

/// Addresses of the wire.
fn ipam() -> Value {
    json!({"type": "host-local", "ranges": [
        [{"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.50"}],
        [{"subnet": "2001:db8::/64", "rangeStart": "2001:db8::50"}],
    ]})
}

/// The bridge that it is a port of.
#[track_caller]
fn bridge_of(host: &Host, name: &str) -> Value {
    link(host, name)["master"].clone()
}

/// All files that say who holds a link.
#[track_caller]
fn holders(host: &Host) -> String {
    host.shell("[ ! -e /run/ferrocni/parents ] || find /run/ferrocni/parents -mindepth 1")
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let (host, _outside) = wire();
    every_plugin_rules(&network(&host, "net", &json!({"ipam": ipam()})), &host.container("c1"), "eth0");
}

/// Public examples have it, and the reference ignores it: the link that it names is left alone.
#[test]
fn the_key_master_has_no_effect_and_that_is_said() {
    let (host, _outside) = tests::wire();
    let c1 = host.container("c1");
    for master in [json!("uplink"), json!("nowhere"), json!(["uplink"])] {
        let mut config = config(&json!({"master": master, "ipam": ipam()}));
        config["name"] = json!("net");
        let outcome = super::call(&host, "ADD", &c1, &config).run();
        let said = outcome.finished.stderr.clone();
        outcome.ok();
        assert_eq!(bridge_of(&host, "uplink"), Value::Null);
        host.assert_pings("192.0.2.2");
        super::call(&host, "DEL", &c1, &config).run().ok();
        if !reference_differs("it says nothing") {
            assert!(said.contains("network net: \"master\" has no effect") && said.contains("\"uplink\""), "{said}");
        }
    }
}

#[test]
fn the_wire_learns_at_once_who_has_an_address_now() {
    let (host, outside) = wire();
    let capture = Capture::start(&outside, "announced", "-i uplink arp or icmp6");
    let result = network(&host, "net", &json!({"ipam": ipam()})).add(&host.container("c1"), "eth0").ok();
    let mac = result["interfaces"][2]["mac"].as_str().unwrap();
    capture.assert_sees(&format!("{mac} > ff:ff:ff:ff:ff:ff.* 192.0.2.50"));
    capture.assert_sees(&format!("{mac} > 33:33:00:00:00:01.*neighbor advertisement, tgt is 2001:db8::50"));
}

#[test]
fn containers_are_on_the_wire_until_the_last_of_any_network_goes() {
    let (host, outside) = wire();
    let (web, peer) = (host.container("web"), host.container("peer"));
    let (one, two) = (network(&host, "one", &json!({"ipam": ipam()})), network(&host, "two", &json!({})));
    let _outside = outside.listen_tcp(80);
    host.assert_leaves_nothing(|| {
        one.status().ok();
        let result = one.add(&web, "eth0").ok();
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 3, "the link to the wire is not the container's");
        let _web = web.listen_tcp(80);
        for (index, on_wire) in [(0, "192.0.2.2:80"), (1, "[2001:db8::2]:80")] {
            web.assert_reaches_tcp(on_wire);
            outside.assert_reaches_tcp(&format!("{}:80", address(&result, index)));
        }
        two.status().ok();
        two.add(&peer, "eth0").ok();
        one.check(&web, "eth0").ok();
        one.del(&web, "eth0").ok();
        assert_eq!(bridge_of(&host, "uplink"), "br0");
        two.check(&peer, "eth0").ok();
        two.del_blind(&peer, "eth0").ok();
        two.del(&peer, "eth0").ok();
        assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
    });
}

#[test]
fn it_may_be_named_by_an_alternative_name() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let name = "the-interface-of-the-host-that-leads-to-the-wire";
    host.shell(&format!("ip link property add dev uplink altname {name}"));
    let network = network(&host, "net", &json!({"uplink": name}));
    network.status().ok();
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    assert_eq!(bridge_of(&host, "uplink"), "br0");
    network.del(&c1, "eth0").ok();
    assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
}

#[test]
fn a_port_that_an_administrator_made_stays_one() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({}));
    // An administrator who makes it a port is responsible for its addresses.
    host.shell("ip link add br0 up type bridge; ip link set uplink master br0; ip addr add 192.0.2.1/24 dev uplink");
    host.assert_leaves_nothing(|| {
        network.status().ok();
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        assert_eq!(holders(&host), "", "nothing is written down");
        network.del(&c1, "eth0").ok();
        network.gc(&[]).ok();
    });
}

#[test]
fn what_an_administrator_moved_since_stays_where_it_is() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({}));
    network.add(&c1, "eth0").ok();
    host.shell("ip link add br1 type bridge; ip link set uplink master br1");
    network.del(&c1, "eth0").ok();
    assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (json!("br1"), String::new()));
    for harm in ["ip link del br0", "ip link del uplink"] {
        host.shell("ip link set uplink nomaster");
        network.add(&c1, "eth0").ok();
        host.shell(harm);
        network.del(&c1, "eth0").ok();
        assert_eq!(holders(&host), "", "{harm}");
    }
}

#[test]
fn a_bridge_keeps_its_hardware_address_whoever_made_it() {
    let (host, _outside) = wire();
    host.shell("ip link set uplink address 02:00:00:00:00:01");
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({}));
    let at_first = super::mac(&network.add(&c1, "eth0").ok(), 0).to_owned();
    network.del(&c1, "eth0").ok();
    assert_eq!(link(&host, "br0")["address"], at_first);
    host.shell("ip link del br0; ip link add br0 type bridge");
    let at_first = link(&host, "br0")["address"].clone();
    assert_eq!(super::mac(&network.add(&c1, "eth0").ok(), 0), at_first);
    let id = link(&host, "br0")["linkinfo"]["info_data"]["bridge_id"].as_str().unwrap().to_owned();
    assert_ne!(id, "8000.0:0:0:0:0:0", "the spanning tree knows it by its address");
    network.del(&c1, "eth0").ok();
    assert_eq!(link(&host, "br0")["address"], at_first);
    // That has lost its last port, and has no address.
    host.shell(
        "ip link del br0; ip link add br0 type bridge; ip link add low type veth peer name far
         ip link set low master br0; ip link set low nomaster",
    );
    assert_eq!(link(&host, "br0")["address"], "00:00:00:00:00:00");
    network.add(&c1, "eth0").ok();
    assert_eq!(link(&host, "br0")["address"], "02:00:00:00:00:01");
}

#[test]
fn containers_have_the_mtu_of_the_link_unless_they_are_given_a_smaller_one() {
    let (host, _outside) = wire();
    host.shell("ip link set uplink mtu 1400");
    let c1 = host.container("c1");
    for (keys, mtu) in [(json!({}), 1400), (json!({"mtu": 1300}), 1300)] {
        let network = network(&host, "net", &keys);
        let result = network.add(&c1, "eth0").ok();
        assert_eq!((&link(&c1, "eth0")["mtu"], &result["interfaces"][0]["mtu"]), (&json!(mtu), &json!(mtu)));
        network.del(&c1, "eth0").ok();
        host.shell("ip link del br0");
    }
}

#[test]
fn a_link_that_cannot_be_a_port_is_an_error_that_says_why_and_nothing_is_left() {
    let host = Host::new();
    let (c1, other) = (host.container("c1"), host.container("other"));
    host.shell(
        "ip link add name br0 type bridge; ip link add name br1 type bridge
         for link in known low port first free; do
             ip link add $link up type veth peer name x$link; ip link set x$link up
         done
         ip addr add fd00::1/64 dev known nodad; ip link set low down; ip link set port master br1",
    );
    network(&host, "first", &json!({"uplink": "first"})).add(&other, "eth0").ok();
    let cases: [(Value, u64, &[&str]); 11] = [
        (json!({"uplink": "known"}), 999, &["known", "fd00::1/64", "move", "br0"]),
        (json!({"uplink": "lo"}), 999, &["lo", "127.0.0.1/8", "another \"uplink\""]),
        (json!({"uplink": "low"}), 999, &["low", "is down", "set it up"]),
        (json!({"uplink": "port"}), 999, &["port", "a port of br1 already", "br0"]),
        (json!({"uplink": "free"}), 999, &["free", "because first is", "another \"bridge\""]),
        (json!({"uplink": "nowhere"}), 999, &["nowhere", "does not exist"]),
        (json!({"uplink": "free.4095"}), 7, &["free.4095", "4095 is not a VLAN"]),
        (json!({"uplink": "free.5", "vlan": 6}), 7, &["\"uplink\" free.5 is VLAN 5", "\"vlan\" is 6"]),
        (json!({"uplink": "a-name-of-15-by", "vlan": 6}), 7, &["a-name-of-15-by.6", "too long"]),
        (json!({"uplink": "first", "mtu": 9000}), 7, &["9000", "1500"]),
        (json!({"uplink": "first", "vlanTrunk": [{"id": 5}]}), 7, &["uplink", "vlanTrunk", "yourself"]),
    ];
    for (keys, code, words) in cases {
        assert_impossible(&network(&host, "net", &keys), &c1, code, words);
    }
}

#[test]
fn a_link_with_macvlan_links_is_refused_and_one_that_is_a_port_gets_none() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let bridged = network(&host, "bridged", &json!({}));
    let macvlan = host.chain(&json!({"name": "macvlan", "plugins": [{"type": "macvlan", "master": "uplink"}]}));
    macvlan.add(&c1, "eth0").ok();
    let error = host.assert_leaves_nothing(|| bridged.add(&c2, "eth0").error());
    assert!(error.msg.contains("uplink") && error.msg.contains("macvlan"), "{error:?}");
    assert!(error.details.contains("busy"), "{error:?}");
    macvlan.del(&c1, "eth0").ok();
    bridged.add(&c2, "eth0").ok();
    let error = host.assert_leaves_nothing(|| macvlan.add(&c1, "eth0").error());
    assert!(error.msg.contains("a bridge"), "{error:?}");
}

#[test]
fn an_add_that_fails_later_takes_the_link_back_unless_others_need_it() {
    let (host, _outside) = wire();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let fails = network(&host, "fails", &json!({"ipam": {"type": "host-local", "subnet": "10.1.0.0/32"}}));
    host.assert_leaves_nothing(|| assert_ne!(fails.add(&c1, "eth0").error().msg, ""));
    network(&host, "works", &json!({})).add(&c2, "eth0").ok();
    host.assert_leaves_nothing(|| assert_ne!(fails.add(&c1, "eth0").error().msg, ""));
    assert_eq!(bridge_of(&host, "uplink"), "br0");
}

#[test]
fn networks_that_race_for_the_same_link_do_not_trip() {
    let (host, _outside) = wire();
    let container = |i: usize| host.container(&format!("{}{i}", ["one", "two"][i % 2]));
    let containers: Vec<Container> = (0..CROWD).map(container).collect();
    let (one, two) = (network(&host, "one", &json!({})), network(&host, "two", &json!({})));
    let network_of = |container: &Container| if container.id.starts_with("one") { &one } else { &two };
    at_once(&containers, |container| drop(network_of(container).add(container, "eth0").ok()));
    assert_eq!(bridge_of(&host, "uplink"), "br0");
    at_once(&containers, |container| drop(network_of(container).check(container, "eth0").ok()));
    at_once(&containers, |container| drop(network_of(container).del(container, "eth0").ok()));
    assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
    // Some come while others go.
    at_once(&containers, |container| {
        let network = network_of(container);
        for _ in 0..3 {
            network.add(container, "eth0").ok();
            network.check(container, "eth0").ok();
            network.del(container, "eth0").ok();
        }
    });
    assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
}

/// What a runtime does then: DEL without the namespace, and at some time GC.
#[test]
fn an_add_that_is_killed_anywhere_leaves_the_link_as_it_was() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({}));
    let before = host.snapshot();
    let kills = network.add_all_but_last(&c1, "eth0").killed_at_every_change(|point| {
        eprintln!("killed at {point}");
        network.del_blind(&c1, "eth0").ok();
        network.gc(&[]).ok();
        host.snapshot().assert_nothing_since(&before);
        assert_eq!(holders(&host), "");
    });
    assert!(kills > 10, "killed {kills} times only");
}

#[test]
fn a_del_that_is_killed_anywhere_takes_the_link_from_nobody_who_stays_and_from_the_bridge_in_the_end() {
    let (host, _outside) = wire();
    let (stays, goes) = (host.container("stays"), host.container("goes"));
    let network = network(&host, "net", &json!({}));
    let mut config = config(&json!({"uplink": "uplink"}));
    config["name"] = json!("net");
    let del = super::call(&host, "DEL", &goes, &config);
    for others in [true, false] {
        if others {
            network.add(&stays, "eth0").ok();
        }
        network.add(&goes, "eth0").ok();
        let kills = del.killed_at_every_change(|point| {
            network.del(&goes, "eth0").ok();
            let expected = if others { json!("br0") } else { Value::Null };
            assert_eq!(bridge_of(&host, "uplink"), expected, "killed at {point}");
            assert_eq!(holders(&host).is_empty(), !others, "killed at {point}");
            network.add(&goes, "eth0").ok();
        });
        assert!(kills > 5, "killed {kills} times only");
        network.del(&goes, "eth0").ok();
        network.gc(&[]).ok();
        assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
    }
}

#[test]
fn gc_takes_the_link_back_once_nobody_listed_holds_it() {
    let (host, _outside) = wire();
    let (one, two) = (network(&host, "one", &json!({})), network(&host, "two", &json!({})));
    let (stays, elsewhere) = (host.container("stays"), host.container("elsewhere"));
    one.add(&stays, "eth0").ok();
    let before = holders(&host);
    two.add(&elsewhere, "eth0").ok();
    let _elsewhere = host.lose(elsewhere);
    one.gc(&[("stays", "eth0")]).ok();
    assert_ne!(holders(&host), before, "the other network's is not one's business");
    two.gc(&[]).ok();
    assert_eq!(holders(&host), before);
    one.check(&stays, "eth0").ok();
    let _stays = host.lose(stays);
    one.gc(&[]).ok();
    assert_eq!((bridge_of(&host, "uplink"), holders(&host)), (Value::Null, String::new()));
}

#[test]
fn check_notices_what_became_of_the_link() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let network = network(&host, "net", &json!({}));
    network.add(&c1, "eth0").ok();
    for (harm, cure, words) in [
        ("nomaster", "ip link set uplink master br0", ["uplink to the wire", "a port of br0", "not its port"]),
        ("down", "ip link set uplink up", ["uplink to the wire", "up", "down"]),
        ("name away", "ip link set away name uplink", ["uplink", "\"uplink\"", "does not exist"]),
    ] {
        network.check(&c1, "eth0").ok();
        host.shell(&format!("ip link set uplink {harm}"));
        let error = network.check(&c1, "eth0").error();
        assert!(words.iter().all(|word| error.msg.contains(word)), "{harm}: {error:?}");
        host.shell(cure);
    }
    network.check(&c1, "eth0").ok();
}

/// A holder whose file cannot be read still counts as one.
#[test]
fn a_del_that_cannot_read_who_holds_the_link_fails_and_can_be_repeated() {
    let (host, _outside) = wire();
    let c1 = host.container("c1");
    let mut config = config(&json!({"uplink": "uplink"}));
    config["name"] = json!("net");
    let cni = |verb: &str| host.cni("bridge").command(verb).container(&c1).config(&config);
    cni("ADD").run().ok();
    for folder in ["/run/ferrocni/parents", "/run/ferrocni/parents/uplink"] {
        let fails = ["-P", folder, "-e", "trace=getdents64", "-e", "inject=getdents64:error=EIO"];
        let strace = [&["strace", "-qqq", "-o", "/dev/null"], &fails[..]].concat();
        let error = cni("DEL").run_under(&strace).error();
        assert!(error.msg.contains(folder), "{error:?}");
    }
    assert_eq!(bridge_of(&host, "uplink"), "br0");
    cni("DEL").run().ok();
    assert_eq!((bridge_of(&host, "uplink"), holders(&host).as_str()), (Value::Null, ""));
}
