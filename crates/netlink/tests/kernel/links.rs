use std::thread::sleep;
use std::time::{Duration, Instant};

use netlink::{Bridge, BridgePort, Error, LinkChange, LinkRef, Mac, Netns, Socket};
use serde_json::json;

use crate::{bridge, in_new_netns, ip, ip_link, new_netns, pair, socket};

const MAC: Mac = Mac([2, 0, 0x5e, 0, 0x53, 1]);

#[test]
fn a_link_is_found_by_name_and_by_index() {
    in_new_netns(|| {
        ip("link add d0 address 02:00:5e:00:53:01 mtu 1400 up type veth peer name d1");
        ip("link set d1 up");
        ip("link set d0 alias ferrocni:net/container/eth0 promisc on");
        let mut socket = socket();
        let link = socket.link("d0").expect("found");
        assert_eq!(socket.link(link.index).expect("found"), link);
        assert_eq!(json!(link.index), ip_link("d0")["ifindex"]);
        assert_eq!((link.name.as_str(), link.mac, link.mtu), ("d0", Some(MAC), 1400));
        assert_eq!((link.up, link.running, link.promiscuous), (true, true, true));
        assert_eq!(link.kind.as_deref(), Some("veth"));
        assert_eq!(link.alias.as_deref(), Some("ferrocni:net/container/eth0"));
        assert_eq!((link.master, link.bridge_port), (None, None));
    });
}

#[test]
fn a_missing_link_is_typed_and_named() {
    in_new_netns(|| {
        let mut socket = socket();
        for error in [
            socket.link("nosuch").expect_err("missing"),
            socket.delete_link("nosuch").expect_err("missing"),
            socket.change_link("nosuch", &LinkChange { up: Some(true), ..LinkChange::default() }).expect_err("missing"),
        ] {
            assert!(
                matches!(&error, Error::LinkNotFound { link: LinkRef::Name(name) } if name == "nosuch"),
                "{error:?}"
            );
            assert_eq!(error.to_string(), "link nosuch does not exist");
        }
        for error in [
            socket.link(4711).expect_err("missing"),
            socket.delete_link(4711).expect_err("missing"),
            socket.delete_link(0).expect_err("missing"),
        ] {
            assert!(
                error.is_not_found() && matches!(error, Error::LinkNotFound { link: LinkRef::Index(_) }),
                "{error:?}"
            );
        }
    });
}

#[test]
fn a_link_is_known_by_alternative_names() {
    in_new_netns(|| {
        let (short, long) = ("d-short".to_owned(), "d-long-".repeat(18));
        ip("link add d0 type bridge");
        ip(&format!("link property add dev d0 altname {short} altname {long}"));
        let mut socket = socket();
        for name in [short.as_str(), &long] {
            assert_eq!(socket.link(name).expect("found").name, "d0");
            socket.change_link(name, &LinkChange { up: Some(true), ..LinkChange::default() }).expect("changed");
        }
        socket.delete_link(long.as_str()).expect("deleted");
        assert!(socket.link(long.as_str()).is_err_and(|error| error.is_not_found()));
    });
}

#[test]
fn a_name_too_long_never_reaches_the_kernel() {
    in_new_netns(|| {
        let mut socket = socket();
        let error = socket.create_bridge(&Bridge {
            name: "sixteen-bytes-xx",
            mac: None,
            mtu: None,
            up: true,
            vlan_filtering: false,
        });
        assert!(matches!(error, Err(Error::InvalidName { .. })), "{error:?}");
        assert!(matches!(socket.link("x".repeat(128).as_str()), Err(Error::InvalidName { .. })));
        let links = ip("link show");
        assert_eq!(links.as_array().map(Vec::len), Some(1), "only lo: {links}");
    });
}

#[test]
fn a_bridge_keeps_the_mac_it_was_created_with() {
    in_new_netns(|| {
        let mut socket = socket();
        let created = socket
            .create_bridge(&Bridge { name: "br0", mac: Some(MAC), mtu: Some(1400), up: true, vlan_filtering: false })
            .expect("created");
        let (a, _) = pair(&mut socket);
        let lower = Mac([2, 0, 0, 0, 0, 1]);
        let change = LinkChange { mac: Some(lower), master: Some(created.index), ..LinkChange::default() };
        socket.change_link(a, &change).expect("a port with a lower address");
        let seen = ip_link("br0");
        assert_eq!(
            (&seen["address"], &seen["mtu"], &seen["linkinfo"]["info_kind"]),
            (&json!("02:00:5e:00:53:01"), &json!(1400), &json!("bridge"))
        );
        assert!(seen["flags"].as_array().expect("flags").contains(&json!("UP")));
        assert_eq!(
            (created.index, created.mac, created.mtu),
            (u32::try_from(seen["ifindex"].as_u64().expect("a number")).expect("small"), Some(MAC), 1400)
        );
        assert!(created.up);
    });
}

#[test]
fn a_second_bridge_of_the_name_is_refused() {
    in_new_netns(|| {
        let mut socket = socket();
        bridge(&mut socket, "br0");
        let error = socket
            .create_bridge(&Bridge { name: "br0", mac: None, mtu: None, up: true, vlan_filtering: false })
            .expect_err("taken");
        assert!(error.is_exists() && matches!(&error, Error::LinkExists { name } if name == "br0"), "{error:?}");
    });
}

#[test]
fn everything_changes_in_one_message() {
    in_new_netns(|| {
        let mut socket = socket();
        let bridge = bridge(&mut socket, "br0");
        let (a, _) = pair(&mut socket);
        socket.change_link(a, &LinkChange { up: Some(false), ..LinkChange::default() }).expect("down");
        let change = LinkChange {
            name: Some("renamed"),
            up: Some(true),
            mac: Some(MAC),
            mtu: Some(1400),
            alias: Some("ferrocni:net/container/eth0"),
            promiscuous: Some(true),
            master: Some(bridge),
            ..LinkChange::default()
        };
        socket.change_link(a, &change).expect("changed");
        let seen = ip_link("renamed");
        assert_eq!(seen["address"], "02:00:5e:00:53:01");
        assert_eq!(seen["mtu"], 1400);
        assert_eq!(seen["ifalias"], "ferrocni:net/container/eth0");
        assert_eq!(seen["master"], "br0");
        let flags = seen["flags"].as_array().expect("flags");
        assert!(flags.contains(&json!("UP")) && flags.contains(&json!("PROMISC")), "{flags:?}");
        let back = LinkChange { up: Some(false), promiscuous: Some(false), master: Some(0), ..LinkChange::default() };
        socket.change_link(a, &back).expect("changed");
        let seen = ip_link("renamed");
        assert_eq!(seen.get("master"), None);
        let flags = seen["flags"].as_array().expect("flags");
        assert!(!flags.contains(&json!("UP")) && !flags.contains(&json!("PROMISC")), "{flags:?}");
    });
}

#[test]
fn hairpin_and_isolation_reach_the_port() {
    in_new_netns(|| {
        let mut socket = socket();
        let bridge = bridge(&mut socket, "br0");
        let (a, _) = pair(&mut socket);
        socket.change_link(a, &LinkChange { master: Some(bridge), ..LinkChange::default() }).expect("a port");
        for (hairpin, isolated) in [(true, true), (false, true), (false, false)] {
            let change = LinkChange { hairpin: Some(hairpin), isolated: Some(isolated), ..LinkChange::default() };
            socket.change_link(a, &change).expect("changed");
            let port = &ip_link("a")["linkinfo"]["info_slave_data"];
            assert_eq!((&port["hairpin"], &port["isolated"]), (&json!(hairpin), &json!(isolated)));
            assert_eq!(socket.link(a).expect("found").bridge_port, Some(BridgePort { hairpin, isolated }));
        }
    });
}

#[test]
fn the_kernels_words_are_in_the_error() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let error = socket
            .change_link(a, &LinkChange { mtu: Some(1_000_000), ..LinkChange::default() })
            .expect_err("too large");
        assert_eq!(error.to_string(), "cannot change link a");
        let why = std::error::Error::source(&error).expect("a reason").to_string();
        assert_eq!(why, "mtu greater than device maximum: Invalid argument (os error 22)");
    });
}

#[test]
fn a_link_without_link_local_address_has_no_address_when_up() {
    in_new_netns(|| {
        let mut socket = socket();
        ip("link add d0 type veth peer name d1");
        ip("link set d1 up");
        let index = socket.link("d0").expect("found").index;
        socket
            .batch()
            .change_link(index, &LinkChange { ipv6_link_local: Some(false), ..LinkChange::default() })
            .set_up(index)
            .send()
            .expect("up");
        assert_eq!(ip("addr show dev d0")[0]["addr_info"], json!([]));
        assert_eq!(ip_link("d0")["inet6_addr_gen_mode"], "none");
    });
}

#[test]
fn lists_are_of_what_was_asked_for() {
    in_new_netns(|| {
        let mut socket = socket();
        let first = bridge(&mut socket, "br0");
        let second = bridge(&mut socket, "br1");
        let (a, b) = pair(&mut socket);
        socket.change_link(a, &LinkChange { master: Some(first), ..LinkChange::default() }).expect("a port");
        socket.change_link(b, &LinkChange { master: Some(second), ..LinkChange::default() }).expect("a port");
        let names = |links: Vec<netlink::Link>| {
            let mut names: Vec<_> = links.into_iter().map(|link| link.name).collect();
            names.sort();
            names
        };
        assert_eq!(names(socket.links().expect("listed")), ["a", "b", "br0", "br1", "lo"]);
        assert_eq!(names(socket.links_with_master(first).expect("listed")), ["a"]);
        assert_eq!(names(socket.links_with_master(4711).expect("listed")), [""; 0]);
    });
}

#[test]
fn a_bridge_is_operational_while_a_port_is() {
    in_new_netns(|| {
        let mut socket = socket();
        let bridge = bridge(&mut socket, "br0");
        let state = |socket: &mut Socket| {
            let link = socket.link(bridge).expect("found");
            (link.carrier, link.operational)
        };
        assert_eq!(state(&mut socket), (true, false), "nobody has told the kernel");
        let (a, _) = pair(&mut socket);
        socket.change_link(a, &LinkChange { master: Some(bridge), ..LinkChange::default() }).expect("a port");
        // The kernel sees to it when it gets round to it.
        let deadline = Instant::now() + Duration::from_secs(30);
        while state(&mut socket) != (true, true) {
            assert!(Instant::now() < deadline, "{:?}", state(&mut socket));
            sleep(Duration::from_millis(10));
        }
        socket.delete_link(a).expect("deleted");
        assert!(!state(&mut socket).0, "the carrier is gone at once");
    });
}

#[test]
fn a_deleted_link_is_gone_and_a_second_deletion_is_not_found() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, b) = pair(&mut socket);
        socket.delete_link(a).expect("deleted");
        assert!(socket.link(b).expect_err("the peer goes too").is_not_found());
        assert!(socket.delete_link(a).expect_err("gone").is_not_found());
    });
}

#[test]
fn arp_notify_is_switched_on_and_nothing_else() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let options = || {
            let mut options: Vec<(String, String)> = std::fs::read_dir("/proc/sys/net/ipv4/conf/a")
                .expect("sysctls of the link")
                .map(|entry| entry.expect("an entry"))
                .map(|entry| {
                    let value = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    (entry.file_name().to_string_lossy().into_owned(), value)
                })
                .collect();
            options.sort();
            options
        };
        let mut expected = options();
        expected.iter_mut().filter(|(name, _)| name == "arp_notify").for_each(|(_, value)| "1\n".clone_into(value));
        assert_ne!(options(), expected, "it is off at first");
        socket.change_link(a, &LinkChange { arp_notify: true, ..LinkChange::default() }).expect("changed");
        assert_eq!(options(), expected);
    });
}

#[test]
fn an_alias_fills_its_255_bytes_and_is_taken_away_by_an_empty_one() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let mut alias = |text: &str| {
            socket.change_link(a, &LinkChange { alias: Some(text), ..LinkChange::default() }).expect("an alias");
            socket.link(a).expect("found").alias
        };
        let longest = "x".repeat(255);
        assert_eq!(alias(&longest), Some(longest));
        assert_eq!(alias(""), None);
    });
}

#[test]
fn a_link_moves_to_another_namespace_with_a_new_name() {
    let elsewhere = new_netns();
    in_new_netns(|| {
        let (mut here, mut there) = (socket(), Socket::open_in(&elsewhere).expect("a socket"));
        let (a, _) = pair(&mut here);
        let change =
            LinkChange { netns: Some(&elsewhere), name: Some("moved"), alias: Some("a"), ..LinkChange::default() };
        here.change_link(a, &change).expect("moved");
        assert!(here.link(a).expect_err("moved").is_not_found());
        let link = there.link("moved").expect("moved");
        assert_eq!((link.alias.as_deref(), link.up), (Some("a"), false));
        let back = Netns::current().expect("/proc is mounted");
        ip("link add moved type bridge");
        // The kernel moves nothing if neither name is free.
        let error = there.change_link(link.index, &LinkChange { netns: Some(&back), ..LinkChange::default() });
        assert!(error.expect_err("taken").is_exists());
        let change = LinkChange { netns: Some(&back), name: Some("home"), alias: Some(""), ..LinkChange::default() };
        there.change_link(link.index, &change).expect("moved");
        assert_eq!(here.link("home").expect("moved").alias, None);
    });
}

#[test]
fn statistics_are_those_of_ip() {
    in_new_netns(|| {
        let mut socket = socket();
        pair(&mut socket);
        let before = socket.links_with_statistics().expect("a list");
        let ends: Vec<_> = before.iter().filter(|(link, _)| link.kind.as_deref() == Some("veth")).collect();
        assert_eq!(ends.len(), 2);
        for (link, _) in ends {
            let (_, statistics) = *socket
                .links_with_statistics()
                .expect("a list")
                .iter()
                .find(|(other, _)| other.index == link.index)
                .expect("it is there");
            // Neighbour discovery may send in between: what was read first is the smaller.
            let later = ip(&format!("-s link show dev {}", link.name))[0]["stats64"].clone();
            let at_most = |field: &str, way: &str| later[way][field].as_u64().expect("a counter");
            assert!(
                statistics.sent_packets <= at_most("packets", "tx") && statistics.sent_bytes <= at_most("bytes", "tx")
            );
            assert!(
                statistics.received_packets <= at_most("packets", "rx")
                    && statistics.received_bytes <= at_most("bytes", "rx")
            );
        }
    });
}
