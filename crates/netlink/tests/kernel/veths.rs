use netlink::{BridgePort, Error, Mac, Peer, Socket, Veth};
use serde_json::json;

use crate::{bridge, in_new_netns, ip, ip_link, new_netns, socket};

const MAC: Mac = Mac([2, 0, 0x5e, 0, 0x53, 1]);

#[test]
fn a_pair_is_whole_in_both_namespaces() {
    in_new_netns(|| {
        let container = new_netns();
        let mut host = socket();
        let master = bridge(&mut host, "br0");
        let peer = Peer { name: "eth0", mac: Some(MAC), mtu: Some(1400), netns: Some(&container) };
        let created = host
            .create_veth(&Veth {
                mtu: Some(1400),
                master: Some(master),
                bridge_port: BridgePort { hairpin: true, isolated: true },
                alias: Some("ferrocni:net/container/eth0"),
                ipv6_link_local: false,
                ..Veth::new("vethabc", peer)
            })
            .expect("created");

        let outside = ip_link("vethabc");
        assert_eq!(outside["ifindex"], created.index);
        assert_eq!(outside["address"], created.mac.to_string());
        assert_eq!(outside["mtu"], 1400);
        assert_eq!(outside["master"], "br0");
        assert_eq!(outside["ifalias"], "ferrocni:net/container/eth0");
        assert!(outside["flags"].as_array().expect("flags").contains(&json!("UP")));
        let port = &outside["linkinfo"]["info_slave_data"];
        assert_eq!((&port["hairpin"], &port["isolated"]), (&json!(true), &json!(true)));
        assert_eq!(ip("addr show dev vethabc")[0]["addr_info"], json!([]), "no link-local address");

        let inside = container.run(|| ip_link("eth0")).expect("entered");
        assert_eq!(inside["ifindex"], created.peer_index);
        assert_eq!(inside["address"], "02:00:5e:00:53:01");
        assert_eq!(inside["mtu"], 1400);
        assert!(!inside["flags"].as_array().expect("flags").contains(&json!("UP")));

        let read = host.link("vethabc").expect("found");
        assert_eq!((read.peer_index, read.peer_netns_id.is_some()), (Some(created.peer_index), true));
        assert_eq!(host.netns_number(&container).expect("read"), read.peer_netns_id);
        assert_eq!(host.netns_number(&new_netns()).expect("read"), None, "no link leads there");
        assert_eq!((read.kind.as_deref(), read.master), (Some("veth"), Some(master)));
    });
}

#[test]
fn a_taken_name_is_told_apart_by_end() {
    in_new_netns(|| {
        let container = new_netns();
        ip("link add taken-here type bridge");
        container.run(|| ip("link add eth0 type bridge")).expect("entered");
        let mut host = socket();
        for (here, there, taken) in [("taken-here", "eth1", "taken-here"), ("vethabc", "eth0", "eth0")] {
            let peer = Peer { name: there, mac: None, mtu: None, netns: Some(&container) };
            let alias = Some("must not be set on somebody else's link");
            let error = host.create_veth(&Veth { alias, ..Veth::new(here, peer) }).expect_err("taken");
            assert!(matches!(&error, Error::LinkExists { name } if name == taken), "{error:?}");
        }
        assert_eq!(ip_link("taken-here").get("ifalias"), None);
        assert!(host.link("vethabc").expect_err("not left").is_not_found());
        let mut inside = Socket::open_in(&container).expect("a socket");
        assert!(inside.link("eth1").expect_err("not left").is_not_found());
    });
}

#[test]
fn nothing_is_left_when_the_pair_cannot_be_finished() {
    in_new_netns(|| {
        let mut host = socket();
        let peer = Peer { name: "b", mac: None, mtu: None, netns: None };
        // Port options without a bridge.
        let bridge_port = BridgePort { hairpin: true, isolated: false };
        let error = host.create_veth(&Veth { bridge_port, ..Veth::new("a", peer) }).expect_err("refused");
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(host.link("a").expect_err("not left").is_not_found());
        let error = host.create_veth(&Veth { master: Some(4711), ..Veth::new("a", peer) }).expect_err("refused");
        assert!(matches!(error, Error::Refused { .. } | Error::LinkNotFound { .. }), "{error:?}");
        assert!(host.link("a").expect_err("not left").is_not_found());
    });
}

#[test]
fn a_link_too_small_for_ipv6_has_no_link_local_address_to_forgo() {
    in_new_netns(|| {
        let peer = Peer { name: "b", mac: None, mtu: Some(1200), netns: None };
        let veth = Veth { mtu: Some(1200), ipv6_link_local: false, ..Veth::new("a", peer) };
        socket().create_veth(&veth).expect("created");
        assert_eq!(ip_link("a")["mtu"], 1200);
    });
}

#[test]
fn no_queue_is_made_to_be_taken_away_again() {
    in_new_netns(|| {
        let peer = Peer { name: "b", mac: None, mtu: None, netns: None };
        socket().create_veth(&Veth::new("a", peer)).expect("created");
        for end in ["a", "b"] {
            let seen = ip_link(end);
            assert_eq!((&seen["num_tx_queues"], &seen["num_rx_queues"]), (&json!(1), &json!(1)));
        }
    });
}
