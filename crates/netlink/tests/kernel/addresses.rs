use ipnetwork::IpNetwork;
use netlink::AddressSpec;
use serde_json::json;

use crate::{in_new_netns, ip, pair, socket};

fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}

#[test]
fn an_added_address_can_be_used_at_once() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        for text in ["10.1.0.2/24", "10.9.0.1/31", "10.9.0.9/32", "2001:db8::2/64"] {
            socket.add_address(&AddressSpec::new(a, network(text))).expect("added");
        }
        let seen = ip("addr show dev a to 10.1.0.0/16")[0]["addr_info"][0].clone();
        assert_eq!(
            (&seen["local"], &seen["prefixlen"], &seen["broadcast"], &seen["scope"]),
            (&json!("10.1.0.2"), &json!(24), &json!("10.1.0.255"), &json!("global"))
        );
        let seen = ip("-6 addr show dev a to 2001:db8::/32")[0]["addr_info"][0].clone();
        assert_eq!(
            (&seen["local"], &seen["prefixlen"], &seen["nodad"], seen.get("tentative")),
            (&json!("2001:db8::2"), &json!(64), &json!(true), None)
        );
        assert_eq!(ip("addr show dev a to 10.9.0.1")[0]["addr_info"][0].get("broadcast"), None);
        assert_eq!(ip("-6 route show 2001:db8::/64")[0]["dev"], "a", "the prefix route");
    });
}

#[test]
fn duplicate_detection_and_the_prefix_route_are_choices() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let asked = AddressSpec { detect_duplicates: true, ..AddressSpec::new(a, network("2001:db8::2/64")) };
        let bare = AddressSpec { prefix_route: false, ..AddressSpec::new(a, network("10.1.0.2/24")) };
        socket.batch().add_address(&asked).add_address(&bare).send().expect("added");
        let listed = socket.addresses(a).expect("listed");
        let tentative =
            |text: &str| listed.iter().find(|address| address.network == network(text)).expect("listed").tentative;
        assert!(tentative("2001:db8::2/64"));
        assert!(!tentative("10.1.0.2/24"));
        assert_eq!(ip("route show 10.1.0.0/24"), json!([]), "no prefix route");
    });
}

#[test]
fn only_this_links_addresses_are_listed() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, b) = pair(&mut socket);
        ip("addr add 10.1.0.2/24 dev a");
        ip("addr add 10.1.0.3/24 dev a");
        ip("addr add 10.1.0.4/24 dev b");
        let v4 = |listed: Vec<netlink::Address>| -> Vec<_> {
            listed
                .into_iter()
                .filter(|address| address.network.is_ipv4())
                .map(|address| (address.link, address.network.to_string(), address.secondary))
                .collect()
        };
        assert_eq!(
            v4(socket.addresses(a).expect("listed")),
            [(a, "10.1.0.2/24".to_owned(), false), (a, "10.1.0.3/24".to_owned(), true)]
        );
        assert_eq!(v4(socket.addresses(b).expect("listed")), [(b, "10.1.0.4/24".to_owned(), false)]);
        assert!(socket.addresses(4711).expect_err("no such link").is_not_found());
    });
}

#[test]
fn an_address_is_there_once() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        for text in ["10.1.0.2/24", "2001:db8::2/64"] {
            let address = AddressSpec::new(a, network(text));
            socket.add_address(&address).expect("added");
            let error = socket.add_address(&address).expect_err("there");
            assert!(error.is_exists(), "{error:?}");
            socket.batch().ensure_address(&address).send().expect("left as it is");
            socket.delete_address(a, address.network).expect("deleted");
            let error = socket.delete_address(a, address.network).expect_err("gone");
            assert!(error.is_not_found(), "{error:?}");
            socket.batch().ensure_address(&address).send().expect("added");
            assert!(socket.addresses(a).expect("listed").iter().any(|listed| listed.network == address.network));
        }
    });
}

#[test]
fn a_refusal_calls_the_link_by_its_name() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let error = socket.add_address(&AddressSpec::new(a, network("::/128"))).expect_err("no address");
        assert_eq!(error.to_string(), "cannot add address ::/128 to link a");
    });
}

#[test]
fn an_address_for_a_missing_link_is_not_found() {
    in_new_netns(|| {
        let error = socket().add_address(&AddressSpec::new(4711, network("10.1.0.2/24"))).expect_err("no link");
        assert!(error.is_not_found(), "{error:?}");
        assert_eq!(error.to_string(), "cannot add address 10.1.0.2/24 to link #4711");
        assert_eq!(error.naming(4711, "eth0").to_string(), "cannot add address 10.1.0.2/24 to link eth0");
    });
}
