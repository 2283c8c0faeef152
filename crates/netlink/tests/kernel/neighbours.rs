use netlink::{Forwarding, LinkKind, Mac, Neighbour, NewLink, Route, RouteType, Socket};
use serde_json::json;

use crate::{in_new_netns, ip, ip_link, socket};

const MAC: Mac = Mac([2, 0, 0x5e, 0, 0x53, 1]);
const OTHER: Mac = Mac([2, 0, 0x5e, 0, 0x53, 2]);

/// A VXLAN device that is up, and its index.
fn vxlan(socket: &mut Socket, local: &str) -> (LinkKind, u32) {
    let kind = LinkKind::Vxlan { vni: 4097, port: 4789, local: local.parse().expect("an address") };
    let wanted = NewLink { mac: Some(MAC), mtu: Some(1450), up: true, ..NewLink::new("v0", kind) };
    let link = socket.create_link(&wanted).expect("made");
    assert_eq!((link.options, link.mtu, link.mac), (Some(kind), 1450, Some(MAC)));
    (kind, link.index)
}

#[test]
fn a_vxlan_device_is_made_and_read_back() {
    for (local, key) in [("192.0.2.1", "local"), ("2001:db8::1", "local6")] {
        in_new_netns(|| {
            let mut socket = socket();
            let (kind, _) = vxlan(&mut socket, local);
            assert_eq!(socket.link("v0").expect("there").options, Some(kind));
            let shown = &ip_link("v0")["linkinfo"]["info_data"];
            assert_eq!((&shown["id"], &shown["port"], &shown[key]), (&json!(4097), &json!(4789), &json!(local)));
            assert_eq!(shown["learning"], json!(false));
            assert_eq!(ip("link show type vxlan").as_array().map(Vec::len), Some(1));
        });
    }
}

#[test]
fn forwarding_entries_are_set_replaced_listed_and_deleted() {
    in_new_netns(|| {
        let mut socket = socket();
        let (_, link) = vxlan(&mut socket, "192.0.2.1");
        let entry = |mac, host: &str| Forwarding { link, mac, host: host.parse().expect("an address") };
        let (first, moved, other) = (entry(MAC, "192.0.2.2"), entry(MAC, "192.0.2.3"), entry(OTHER, "192.0.2.2"));
        assert_eq!(socket.forwarding_entries(link).expect("a list"), [], "no default entry");
        socket.batch().set_forwarding(&first).set_forwarding(&other).set_forwarding(&moved).send().expect("set");
        let mut listed = socket.forwarding_entries(link).expect("a list");
        listed.sort();
        assert_eq!(listed, [moved, other]);
        socket.batch().delete_forwarding(&moved).send().expect("deleted");
        assert_eq!(socket.forwarding_entries(link).expect("a list"), [other]);
        let again = socket.batch().delete_forwarding(&moved).send().expect_err("gone");
        assert!(again.is_not_found(), "{again}");
    });
}

#[test]
fn neighbours_of_both_families_are_permanent() {
    in_new_netns(|| {
        let mut socket = socket();
        let (_, link) = vxlan(&mut socket, "192.0.2.1");
        let entry = |address: &str, mac| Neighbour { link, address: address.parse().expect("an address"), mac };
        let wanted = [entry("10.0.0.1", OTHER), entry("fd00::1", MAC)];
        socket.batch().set_neighbour(&entry("10.0.0.1", MAC)).send().expect("set");
        socket.batch().set_neighbour(&wanted[0]).set_neighbour(&wanted[1]).send().expect("replaced");
        assert_eq!(socket.permanent_neighbours(link).expect("a list"), wanted);
        socket.batch().delete_neighbour(&wanted[0]).delete_neighbour(&wanted[1]).send().expect("deleted");
        assert_eq!(socket.permanent_neighbours(link).expect("a list"), []);
        let again = socket.batch().delete_neighbour(&wanted[0]).send().expect_err("gone");
        assert!(again.is_not_found(), "{again}");
    });
}

#[test]
fn a_route_says_which_program_made_it() {
    in_new_netns(|| {
        let mut socket = socket();
        for subnet in ["10.0.0.0/16", "fd00::/64"] {
            let destination = subnet.parse().expect("a subnet");
            let route = Route {
                kind: RouteType::Unreachable,
                protocol: Some(142),
                priority: Some(u32::MAX),
                ..Route::new(destination)
            };
            socket.add_route(&route).expect("added");
            let family = netlink::Family::of(destination.ip());
            let routes = socket.routes(family, None, netlink::table::MAIN).expect("a list");
            let found = routes.iter().find(|found| found.destination == destination).expect("there");
            assert_eq!(
                (found.protocol, found.kind, found.priority),
                (Some(142), RouteType::Unreachable, Some(u32::MAX))
            );
            socket.delete_route(&route).expect("deleted");
        }
    });
}
