//! Whatever arrives, reading it ends in an object or an error.

use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoKind, InfoPortData, InfoPortKind, LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric};

use crate::link::bridge_vlan;
use crate::message::Message;
use crate::{address, link, route};

type Read = fn(&Message<'_>) -> bool;

fn message(kind: u16, body: &[u8]) -> Message<'_> {
    Message { kind, flags: 0, sequence: 0, body }
}

fn emitted(message: &dyn Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn link_body() -> Vec<u8> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName("eth0".to_owned()),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        LinkAttribute::Mtu(1500),
        LinkAttribute::LinkNetNsId(3),
        LinkAttribute::IfAlias("ferrocni:net/container/eth0".to_owned()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![
                InfoBridgePort::HairpinMode(true),
                InfoBridgePort::Isolated(true),
            ])),
        ]),
    ];
    emitted(&message)
}

fn address_body() -> Vec<u8> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 24;
    message.attributes.push(AddressAttribute::Local([10, 1, 0, 2].into()));
    message.attributes.push(AddressAttribute::Address([10, 1, 0, 2].into()));
    emitted(&message)
}

fn route_body() -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 24;
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet([10, 1, 0, 0].into())),
        RouteAttribute::Gateway(RouteAddress::Inet([10, 1, 0, 1].into())),
        RouteAttribute::Oif(2),
        RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]),
    ];
    emitted(&message)
}

/// A port in VLANs 20 to 30.
fn port_vlans_body() -> Vec<u8> {
    let mut body = vec![7, 0, 0, 0, 2, 0, 0, 0];
    for number in [20_u16, 1, 8, 1, 0, 20, 6, 2, 30, 0] {
        body.extend(number.to_ne_bytes());
    }
    body
}

/// Type, body and reader of each object.
fn objects() -> [(u16, Vec<u8>, Read); 4] {
    [
        (16, link_body(), |message| link::read(message).is_ok()),
        (20, address_body(), |message| address::read(message).is_ok_and(|read| read.is_some())),
        (112, port_vlans_body(), |message| bridge_vlan::read(message).is_ok_and(|read| !read.is_empty())),
        (24, route_body(), |message| route::read(message).is_ok_and(|read| read.is_some())),
    ]
}

#[test]
fn whole_objects_are_read() {
    for (kind, body, read) in objects() {
        assert!(read(&message(kind, &body)), "{kind}");
    }
}

#[test]
fn no_truncation_panics() {
    for (kind, body, read) in objects() {
        for end in 0..body.len() {
            read(&message(kind, &body[..end]));
        }
        assert!(!read(&message(kind, &[])), "{kind}");
    }
}

#[test]
fn no_byte_changed_panics() {
    for (kind, body, read) in objects() {
        for at in 0..body.len() {
            for value in 0..=u8::MAX {
                let mut damaged = body.clone();
                damaged[at] = value;
                read(&message(kind, &damaged));
            }
        }
    }
}
