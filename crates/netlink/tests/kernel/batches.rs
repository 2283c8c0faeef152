use netlink::{AddressSpec, Error, LinkChange, Request, Route};
use serde_json::json;

use crate::{in_new_netns, ip, pair, socket};

#[test]
fn a_container_end_is_set_up_in_one_batch() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        socket
            .batch()
            .set_down(a)
            .add_address(&AddressSpec::new(a, "10.1.0.2/24".parse().expect("a network")))
            .add_address(&AddressSpec::new(a, "2001:db8::2/64".parse().expect("a network")))
            .set_up(a)
            .add_route(&Route::default_via("10.1.0.1".parse().expect("an address"), a))
            .add_route(&Route::default_via("2001:db8::1".parse().expect("an address"), a))
            .send()
            .expect("done");
        assert_eq!(ip("-4 route show default")[0]["gateway"], "10.1.0.1");
        assert_eq!(ip("-6 route show default")[0]["gateway"], "2001:db8::1");
    });
}

#[test]
fn the_first_refusal_is_reported_and_the_socket_stays_usable() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let network = "10.1.0.2/24".parse().expect("a network");
        let error = socket
            .batch()
            .add_address(&AddressSpec::new(a, network))
            .add_address(&AddressSpec::new(a, network))
            .delete_link("nosuch")
            .set_up(a)
            .send()
            .expect_err("the second");
        assert!(
            matches!(&error, Error::Refused { request, .. } if **request == Request::AddAddress { link: "a".into(), network }),
            "{error:?}"
        );
        assert!(error.is_exists());
        assert_eq!(ip("addr show dev a to 10.1.0.2")[0]["addr_info"][0]["prefixlen"], 24, "the first was done");
        assert_eq!(socket.link(a).expect("the next answer is the right one").name, "a");
    });
}

#[test]
fn a_refused_last_request_ends_the_batch() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let error = socket.batch().set_down(a).delete_link(4711).send().expect_err("the last");
        assert!(matches!(error, Error::LinkNotFound { .. }), "{error:?}");
    });
}

#[test]
fn a_request_that_is_wrong_keeps_the_others_from_being_sent() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let rename = LinkChange { name: Some("sixteen-bytes-xx"), ..LinkChange::default() };
        let error = socket.batch().set_down(a).change_link(a, &rename).send().expect_err("the name");
        assert!(matches!(error, Error::InvalidName { .. }), "{error:?}");
        assert!(socket.link(a).expect("found").up);
    });
}

#[test]
fn an_empty_batch_is_no_system_call() {
    in_new_netns(|| {
        socket().batch().send().expect("nothing to do");
    });
}

#[test]
fn more_than_a_receive_buffer_is_listed() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let mut batch = socket.batch();
        for host in 1..=1000u32 {
            let ip = std::net::Ipv4Addr::from(0x0a01_0000 + host);
            batch.add_address(&AddressSpec::new(a, ipnetwork::IpNetwork::V4(ip.into())));
        }
        batch.send().expect("added");
        let listed = socket.addresses(a).expect("listed");
        assert_eq!(listed.iter().filter(|address| address.network.is_ipv4()).count(), 1000);
        assert_eq!(ip("-4 addr show dev a")[0]["addr_info"].as_array().map(Vec::len), Some(1000));
        assert_ne!(ip("addr show dev a"), json!(null));
    });
}
