//! The two frames, byte by byte.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const ETHERTYPE_ARP: [u8; 2] = 0x0806u16.to_be_bytes();
pub(crate) const ETHERTYPE_IPV6: [u8; 2] = 0x86ddu16.to_be_bytes();
const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
const ADVERTISEMENT_LEN: usize = 32;
const ICMPV6: u8 = 58;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

pub(crate) const ARP_FRAME_LEN: usize = ETHERNET_LEN + 28;
pub(crate) const ADVERTISEMENT_FRAME_LEN: usize = ETHERNET_LEN + IPV6_LEN + ADVERTISEMENT_LEN;

/// An ARP announcement: a request in which sender and target are the same address.
pub(crate) fn arp_announcement(mac: [u8; 6], address: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    let mut writer = Writer(&mut frame);
    writer.put(&[0xff; 6]);
    writer.put(&mac);
    writer.put(&ETHERTYPE_ARP);
    // Ethernet, IPv4, address lengths 6 and 4, request (RFC 826).
    writer.put(&[0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    writer.put(&mac);
    writer.put(&address.octets());
    // Nobody knows or reads the target's hardware address in a request: zero (RFC 5227, section 1.1).
    writer.put(&[0; 6]);
    writer.put(&address.octets());
    frame
}

/// An unsolicited Neighbor Advertisement to all nodes (RFC 4861, sections 4.4 and 7.2.6).
pub(crate) fn neighbor_advertisement(mac: [u8; 6], address: Ipv6Addr) -> [u8; ADVERTISEMENT_FRAME_LEN] {
    let mut frame = [0; ADVERTISEMENT_FRAME_LEN];
    let mut writer = Writer(&mut frame);
    // 33:33 and the last four octets of the group (RFC 2464, section 7).
    writer.put(&[0x33, 0x33, 0, 0, 0, 1]);
    writer.put(&mac);
    writer.put(&ETHERTYPE_IPV6);
    // Version 6; payload length; next header; hop limit 255, which proves that no router forwarded it.
    writer.put(&[0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    writer.put(&address.octets());
    writer.put(&ALL_NODES.octets());
    writer.put(&advertisement(mac, address));
    frame
}

fn advertisement(mac: [u8; 6], address: Ipv6Addr) -> [u8; ADVERTISEMENT_LEN] {
    let mut message = [0; ADVERTISEMENT_LEN];
    let mut writer = Writer(&mut message);
    // Type 136, code 0, checksum to come, flags: not a router, not solicited, override.
    writer.put(&[136, 0, 0, 0, 0x20, 0, 0, 0]);
    writer.put(&address.octets());
    // Option: target link-layer address, one unit of eight octets.
    writer.put(&[2, 1]);
    writer.put(&mac);
    let checksum = checksum(address, &message);
    message[2..4].copy_from_slice(&checksum);
    message
}

/// The ones' complement sum over the pseudo-header and the message (RFC 8200, section 8.1).
fn checksum(source: Ipv6Addr, message: &[u8; ADVERTISEMENT_LEN]) -> [u8; 2] {
    let length = [0, 0, 0, 32];
    let next_header = [0, 0, 0, ICMPV6];
    let parts: [&[u8]; 5] = [&source.octets(), &ALL_NODES.octets(), &length, &next_header, message];
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks_exact(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

/// Fills a frame from front to back.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.0);
        let (front, rest) = rest.split_at_mut(bytes.len());
        front.copy_from_slice(bytes);
        self.0 = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0x5e, 0, 0x53, 1];

    #[test]
    fn the_arp_announcement_is_these_bytes() {
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0x5e, 0, 0x53, 1, 0x08, 0x06, // Ethernet
            0, 1, 8, 0, 6, 4, 0, 1, // a request for IPv4 over Ethernet
            2, 0, 0x5e, 0, 0x53, 1, 192, 0, 2, 7, // sender
            0, 0, 0, 0, 0, 0, 192, 0, 2, 7, // target
        ];
        assert_eq!(arp_announcement(MAC, Ipv4Addr::new(192, 0, 2, 7)), expected);
    }

    #[test]
    fn the_advertisement_is_these_bytes() {
        let address: Ipv6Addr = "2001:db8::7".parse().expect("an address");
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0, 0, 0, 1, 2, 0, 0x5e, 0, 0x53, 1, 0x86, 0xdd, // Ethernet
            0x60, 0, 0, 0, 0, 32, 58, 255, // IPv6
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, // from
            0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // to all nodes
            136, 0, 0x48, 0x1e, 0x20, 0, 0, 0, // override
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, // target
            2, 1, 2, 0, 0x5e, 0, 0x53, 1, // target link-layer address
        ];
        assert_eq!(neighbor_advertisement(MAC, address), expected);
    }
}
