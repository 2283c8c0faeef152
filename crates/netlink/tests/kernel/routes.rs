use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Error, Family, Route, RouteType, Socket, scope, table};
use serde_json::json;

use crate::{in_new_netns, ip, pair, socket};

/// What a route's origin is unless it says another (include/uapi/linux/rtnetlink.h).
const RTPROT_STATIC: u8 = 4;

fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A link that is up and has an address of each family.
fn link_with_addresses(socket: &mut Socket) -> u32 {
    let (a, _) = pair(socket);
    let addresses = [network("10.1.0.2/24"), network("2001:db8::2/64")].map(|network| AddressSpec::new(a, network));
    socket.batch().add_address(&addresses[0]).add_address(&addresses[1]).send().expect("added");
    a
}

#[test]
fn a_default_route_leads_through_its_gateway() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        for gateway in ["10.1.0.1", "2001:db8::1"].map(address) {
            socket.add_route(&Route::default_via(gateway, link)).expect("added");
            let family = Family::of(gateway);
            let listed = socket.routes(family, None, table::MAIN).expect("listed");
            let found = listed.iter().find(|route| route.is_default()).expect("found");
            assert_eq!((found.gateway, found.link), (Some(gateway), Some(link)));
            let option = if family == Family::V4 { "-4" } else { "-6" };
            let seen = ip(&format!("{option} route show default"));
            assert_eq!((&seen[0]["gateway"], &seen[0]["dev"]), (&json!(gateway.to_string()), &json!("a")));
        }
    });
}

#[test]
fn every_property_reaches_the_kernel_and_comes_back() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        for (destination, gateway, source) in
            [("10.2.0.0/16", "192.0.2.1", "10.1.0.2"), ("2001:db8:1::/48", "2001:db8:f::1", "2001:db8::2")]
        {
            let route = Route {
                gateway: Some(address(gateway)),
                link: Some(link),
                source: Some(address(source)),
                mtu: Some(1400),
                advmss: Some(1300),
                priority: Some(77),
                table: 4000,
                scope: Some(scope::UNIVERSE),
                onlink: true,
                ..Route::new(network(destination))
            };
            socket.add_route(&route).expect("added");
            let family = Family::of(route.destination.ip());
            let made = Route { protocol: Some(RTPROT_STATIC), ..route.clone() };
            assert_eq!(socket.routes(family, Some(link), 4000).expect("listed"), [made]);
            let option = if family == Family::V4 { "-4" } else { "-6" };
            let seen = ip(&format!("{option} route show table 4000"))[0].clone();
            assert_eq!(
                (&seen["dst"], &seen["gateway"], &seen["dev"]),
                (&json!(destination), &json!(gateway), &json!("a"))
            );
            assert_eq!(
                (&seen["prefsrc"], &seen["metric"], &seen["flags"]),
                (&json!(source), &json!(77), &json!(["onlink"]))
            );
            assert_eq!(seen["metrics"][0], json!({"mtu": 1400, "advmss": 1300}));

            let error = socket.add_route(&route).expect_err("there");
            assert!(error.is_exists(), "{error:?}");
            socket.delete_route(&Route { table: 4000, ..Route::new(route.destination) }).expect("deleted");
            let error = socket.delete_route(&route).expect_err("gone");
            assert!(error.is_not_found(), "{error:?}");
        }
    });
}

#[test]
fn without_gateway_a_route_is_of_link_scope() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        socket.add_route(&Route { link: Some(link), ..Route::new(network("10.3.0.1/32")) }).expect("added");
        assert_eq!(ip("-4 route show 10.3.0.1")[0]["scope"], "link");
        socket
            .add_route(&Route { link: Some(link), scope: Some(scope::HOST), ..Route::new(network("10.3.0.2/32")) })
            .expect("added");
        assert_eq!(ip("-4 route show 10.3.0.2")[0]["scope"], "host");
        socket.add_route(&Route { kind: RouteType::Unreachable, ..Route::new(network("10.4.0.0/16")) }).expect("added");
        assert_eq!(ip("-4 route show 10.4.0.0/16")[0]["type"], "unreachable");
    });
}

#[test]
fn routes_are_listed_by_link_and_table() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        ip("addr add 10.5.0.1/24 dev b");
        let destinations =
            |routes: Vec<Route>| -> Vec<_> { routes.into_iter().map(|route| route.destination.to_string()).collect() };
        assert_eq!(destinations(socket.routes(Family::V4, Some(link), table::MAIN).expect("listed")), ["10.1.0.0/24"]);
        assert_eq!(
            destinations(socket.routes(Family::V4, None, table::MAIN).expect("listed")),
            ["10.1.0.0/24", "10.5.0.0/24"]
        );
        assert_eq!(
            destinations(socket.routes(Family::V4, Some(link), 4711).expect("an absent table is empty")),
            [""; 0]
        );
        assert_eq!(
            destinations(socket.routes(Family::V6, Some(link), 4711).expect("an absent table is empty")),
            [""; 0]
        );
        assert!(
            destinations(socket.routes(Family::V4, Some(link), table::LOCAL).expect("listed"))
                .contains(&"10.1.0.2/32".to_owned())
        );
    });
}

#[test]
fn an_unreachable_gateway_is_refused_in_the_kernels_words() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        let error = socket.add_route(&Route::default_via(address("192.0.2.1"), link)).expect_err("refused");
        assert_eq!(error.to_string(), "cannot add route to 0.0.0.0/0 via 192.0.2.1");
        let why = std::error::Error::source(&error).expect("a reason").to_string();
        let errno = std::io::Error::from_raw_os_error(nix::libc::ENETUNREACH);
        assert_eq!(why, format!("Nexthop has invalid gateway: {errno}"));
        assert!(!error.is_not_found() && !error.is_exists());
        let error =
            socket.add_route(&Route { gateway: Some(address("2001:db8::1")), ..Route::new(network("10.2.0.0/16")) });
        assert!(matches!(error, Err(Error::MixedFamilies { .. })), "{error:?}");
    });
}

#[test]
fn the_route_to_an_address_is_found_and_its_absence_told() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        for neighbour in ["10.1.0.9", "2001:db8::9"].map(address) {
            assert_eq!(socket.route_to(neighbour).expect("found").link, Some(link));
        }
        let error = socket.route_to(address("192.0.2.1")).expect_err("no such route");
        assert_eq!(error.errno(), Some(nix::libc::ENETUNREACH), "{error}");
    });
}

#[test]
fn the_route_a_packet_takes_is_found_in_any_table() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        for (gateway, remote) in [("10.1.0.1", "192.0.2.7"), ("2001:db8::1", "2001:db8:f::7")] {
            let error = socket.route_to(address(remote)).expect_err("no way yet");
            assert_eq!(error.errno(), Some(nix::libc::ENETUNREACH), "{error:?}");
            socket.add_route(&Route { table: 4000, ..Route::default_via(address(gateway), link) }).expect("added");
            let family = if remote.contains(':') { "-6" } else { "-4" };
            ip(&format!("{family} rule add from all lookup 4000"));
            let found = socket.route_to(address(remote)).expect("found");
            assert_eq!((found.gateway, found.link), (Some(address(gateway)), Some(link)));
            let listed = socket.routes_in_all_tables(Family::of(address(remote)), Some(link)).expect("listed");
            assert!(listed.iter().any(|route| route.table == 4000 && route.is_default()));
            assert!(listed.iter().any(|route| route.table == table::MAIN && !route.is_default()));
        }
    });
}

#[test]
fn a_parallel_route_stands_beside_the_one_before() {
    in_new_netns(|| {
        let mut socket = socket();
        let link = link_with_addresses(&mut socket);
        for gateway in ["10.1.0.1", "10.1.0.3", "2001:db8::1", "2001:db8::3"].map(address) {
            socket.batch().add_parallel_route(&Route::default_via(gateway, link)).send().expect("added");
        }
        let error = socket.add_route(&Route::default_via(address("10.1.0.4"), link)).expect_err("there is one");
        assert!(error.is_exists(), "{error}");
        assert_eq!(ip("-4 route show default").as_array().map(Vec::len), Some(2));
        for (family, gateways) in [(Family::V4, ["10.1.0.3", "10.1.0.1"]), (Family::V6, ["2001:db8::1", "2001:db8::3"])]
        {
            let listed = socket.routes(family, Some(link), table::MAIN).expect("listed");
            let found: Vec<_> = listed.iter().filter(|route| route.is_default()).collect();
            assert_eq!(found.iter().filter_map(|route| route.gateway).collect::<Vec<_>>(), gateways.map(address));
            assert!(found.iter().all(|route| route.link == Some(link)));
        }
    });
}

#[test]
fn a_route_takes_the_place_of_another() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        ip("addr add 10.1.0.2/24 dev a");
        for gateway in ["10.1.0.1", "10.1.0.3"] {
            let route = Route { table: 100, ..Route::default_via(gateway.parse().expect("an address"), link) };
            socket.batch().replace_route(&route).send().expect("set");
        }
        let routes = socket.routes(Family::V4, None, 100).expect("listed");
        assert_eq!(routes.iter().map(|route| route.gateway).collect::<Vec<_>>(), ["10.1.0.3".parse().ok()]);
    });
}
