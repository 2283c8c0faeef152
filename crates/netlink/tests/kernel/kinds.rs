use netlink::{
    Bridge, Error, IpvlanIsolation, IpvlanMode, Link, LinkChange, LinkKind, Mac, MacvlanMode, NewLink, Socket,
};
use serde_json::json;

use crate::{in_new_netns, ip, ip_link, new_netns, pair, socket};

const MAC: Mac = Mac([2, 0, 0x5e, 0, 0x53, 9]);
const BRIDGE_MODE: LinkKind =
    LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None, broadcast_cutoff: Some(1) };

#[test]
fn each_macvlan_mode_is_made_and_read_back() {
    in_new_netns(|| {
        let mut socket = socket();
        let (parent, _) = pair(&mut socket);
        for (mode, name) in [
            (MacvlanMode::Private, "private"),
            (MacvlanMode::Vepa, "vepa"),
            (MacvlanMode::Bridge, "bridge"),
            (MacvlanMode::Passthru, "passthru"),
        ] {
            let kind = LinkKind::Macvlan { mode, broadcast_queue: Some(2000), broadcast_cutoff: Some(-1) };
            let wanted = NewLink { parent: Some(parent), mtu: Some(1400), up: true, ..NewLink::new("m0", kind) };
            let link = socket.create_link(&wanted).expect("made");
            let shown = ip_link("m0");
            assert_eq!(shown["linkinfo"]["info_data"]["mode"], json!(name));
            assert_eq!((link.options, link.mtu, link.up), (Some(kind), 1400, true));
            assert_eq!(link.peer_index, Some(parent));
            assert_eq!(socket.link("m0").expect("there"), socket.link(link.index).expect("there"));
            socket.delete_link(link.index).expect("deleted");
        }
    });
}

#[test]
fn a_kind_is_known_without_a_link_of_it() {
    in_new_netns(|| {
        let mut socket = socket();
        assert!(socket.knows(BRIDGE_MODE).expect("an answer"));
        let ipvlan = LinkKind::Ipvlan { mode: IpvlanMode::L2, isolation: IpvlanIsolation::Bridge };
        let (parent, _) = pair(&mut socket);
        let others = [LinkKind::Vlan { id: 5 }, LinkKind::Dummy, LinkKind::Ifb, LinkKind::Vrf { table: 5 }];
        for kind in others.into_iter().chain([ipvlan]) {
            let parent = matches!(kind, LinkKind::Ipvlan { .. } | LinkKind::Vlan { .. }).then_some(parent);
            let made = socket.create_link(&NewLink { parent, ..NewLink::new("i0", kind) });
            let can_be_made = made.map(|link| socket.delete_link(link.index)).is_ok();
            assert_eq!(socket.knows(kind).expect("an answer"), can_be_made, "{kind:?}");
        }
        assert_eq!(ip("link show").as_array().expect("a list").len(), 3, "lo and the pair");
    });
}

#[test]
fn the_links_on_a_parent_are_told_from_others() {
    in_new_netns(|| {
        let mut socket = socket();
        let (parent, other) = pair(&mut socket);
        for (name, parent) in [("m0", parent), ("m1", other), ("m2", parent)] {
            socket.create_link(&NewLink { parent: Some(parent), ..NewLink::new(name, BRIDGE_MODE) }).expect("made");
        }
        let elsewhere = new_netns();
        let away = NewLink { parent: Some(parent), ..NewLink::new("m3", BRIDGE_MODE) };
        socket.create_link_in(&elsewhere, &away).expect("made");
        let names = |links: Vec<Link>| links.into_iter().map(|link| link.name).collect::<Vec<_>>();
        assert_eq!(names(socket.links_on(parent, BRIDGE_MODE).expect("a list")), ["m0", "m2"]);
        assert!(socket.links_on(parent, LinkKind::Vlan { id: 1 }).expect("a list").is_empty());
    });
}

#[test]
fn the_loopback_carries_no_ethernet_frames() {
    in_new_netns(|| {
        let mut socket = socket();
        let (pair, _) = pair(&mut socket);
        assert!(!socket.link("lo").expect("there").ethernet && socket.link(pair).expect("there").ethernet);
    });
}

#[test]
fn a_link_without_options_is_made() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = socket.create_link(&NewLink::new("ifb7", LinkKind::Ifb)).expect("made");
        assert_eq!(link.options, Some(LinkKind::Ifb));
        assert_eq!(ip_link("ifb7")["linkinfo"]["info_kind"], json!("ifb"));
    });
}

#[test]
fn a_bridge_filters_vlans_unless_the_kernel_cannot() {
    in_new_netns(|| {
        let mut socket = socket();
        let plain = crate::bridge(&mut socket, "br0");
        let found = socket.link(plain).expect("there").options.expect("a bridge");
        let LinkKind::Bridge { vlan_filtering: false, default_vlan } = found else { panic!("{found:?}") };
        let filtering = Bridge { name: "br1", mac: None, mtu: Some(1400), up: true, vlan_filtering: true };
        match (socket.create_bridge(&filtering), default_vlan) {
            (Ok(link), Some(1)) => {
                assert_eq!(link.options, Some(LinkKind::Bridge { vlan_filtering: true, default_vlan }));
            }
            (Err(error), None) => {
                assert_eq!(error.errno(), Some(nix::libc::EOPNOTSUPP));
                assert!(socket.link("br1").expect_err("refused").is_not_found());
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_link_is_made_in_another_namespace_under_its_final_name() {
    in_new_netns(|| {
        let elsewhere = new_netns();
        let mut socket = socket();
        let (parent, _) = pair(&mut socket);
        // A link of that name in this namespace is none of its business.
        crate::bridge(&mut socket, "eth0");
        let wanted = NewLink { parent: Some(parent), mac: Some(MAC), ..NewLink::new("eth0", BRIDGE_MODE) };
        socket.create_link_in(&elsewhere, &wanted).expect("made");
        let here = ip("link show").as_array().expect("a list").len();
        assert_eq!(here, 4, "lo, the pair and the bridge");

        let mut there = Socket::open_in(&elsewhere).expect("a socket");
        let change = LinkChange { alias: Some("whose"), ..LinkChange::default() };
        let link = there.change_and_read("eth0", &change).expect("found");
        assert_eq!((link.alias.as_deref(), link.mac, link.peer_index), (Some("whose"), Some(MAC), Some(parent)));
        assert!(link.peer_netns_id.is_some());
        let again = socket.create_link_in(&elsewhere, &wanted);
        assert!(matches!(&again, Err(Error::LinkExists { name }) if name == "eth0"), "{again:?}");
    });
}

#[test]
fn a_change_that_is_refused_is_told_though_the_link_can_be_read() {
    in_new_netns(|| {
        let change = LinkChange { mtu: Some(1), up: Some(true), ..LinkChange::default() };
        let (_, mut socket) = (ip("link add d0 type veth peer name d1"), socket());
        let refused = socket.change_and_read("d0", &change).expect_err("an MTU of 1");
        assert_eq!(refused.to_string(), "cannot change link d0");
        assert!(matches!(socket.change_and_read("none", &change), Err(Error::LinkNotFound { .. })));
        assert_eq!(socket.link("d0").expect("the next exchange is not disturbed").name, "d0");
    });
}

#[test]
fn a_parent_of_another_kind_is_busy() {
    in_new_netns(|| {
        let mut socket = socket();
        let (parent, _) = pair(&mut socket);
        let bridge = crate::bridge(&mut socket, "br0");
        let change = LinkChange { master: Some(bridge), ..LinkChange::default() };
        socket.change_link(parent, &change).expect("a port");
        let busy = socket.create_link(&NewLink { parent: Some(parent), ..NewLink::new("m0", BRIDGE_MODE) });
        assert_eq!(busy.expect_err("a port takes no macvlan").errno(), Some(nix::libc::EBUSY));
    });
}

#[test]
fn a_link_moves_to_another_namespace_and_gets_its_name_there() {
    in_new_netns(|| {
        let elsewhere = new_netns();
        let mut socket = socket();
        let (index, _) = pair(&mut socket);
        let change = LinkChange { name: Some("eth0"), netns: Some(&elsewhere), ..LinkChange::default() };
        socket.change_link(index, &change).expect("moved");
        assert!(socket.link("a").expect_err("gone").is_not_found());
        assert_eq!(Socket::open_in(&elsewhere).expect("a socket").link("eth0").expect("there").name, "eth0");
    });
}

#[test]
fn queue_length_and_multicast_reception_are_set() {
    in_new_netns(|| {
        let mut socket = socket();
        let (index, _) = pair(&mut socket);
        let change = LinkChange { all_multicast: Some(true), tx_queue_len: Some(77), ..LinkChange::default() };
        let link = socket.change_and_read(index, &change).expect("changed");
        assert_eq!((link.all_multicast, link.tx_queue_len), (true, 77));
        assert_eq!((&ip_link("a")["txqlen"], &ip_link("a")["allmulti"]), (&json!(77), &json!(1)));
    });
}
