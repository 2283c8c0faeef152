//! Who is where: the permanent neighbours of a link, and the forwarding entries of a VXLAN device.

use std::net::IpAddr;

use ip::Family;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use crate::error::{Error, Request, Result, if_found};
use crate::mac::Mac;
use crate::message::{Message, attributes, read_u16, read_u32};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
/// Length of `struct ndmsg`.
const HEADER_LEN: usize = 12;
const WHAT: &str = "a neighbour";

/// A neighbour that is known for good: nobody is asked for its address (`NUD_PERMANENT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// Where a VXLAN device sends what is for an Ethernet address (RFC 7348, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forwarding {
    /// Index of the device.
    pub link: u32,
    /// The Ethernet address; all zero for whatever has no entry of its own.
    pub mac: Mac,
    /// The host that it is behind.
    pub host: IpAddr,
}

impl Socket {
    /// The permanent neighbours of a link, both families.
    ///
    /// # Errors
    /// The kernel's refusal; a link that does not exist has none.
    pub fn permanent_neighbours(&mut self, link: u32) -> Result<Vec<Neighbour>> {
        let mut all = Vec::new();
        for family in [Family::V4, Family::V6] {
            all.extend(self.list_neighbours(link, address_family(family), |entry| {
                Some(Neighbour { link, address: entry.destination?, mac: entry.mac? })
            })?);
        }
        Ok(all)
    }

    /// The permanent forwarding entries of a VXLAN device.
    ///
    /// # Errors
    /// The kernel's refusal; a link that does not exist has none.
    pub fn forwarding_entries(&mut self, link: u32) -> Result<Vec<Forwarding>> {
        self.list_neighbours(link, AddressFamily::Bridge, |entry| {
            Some(Forwarding { link, mac: entry.mac?, host: entry.destination? })
        })
    }

    fn list_neighbours<T>(
        &mut self,
        link: u32,
        family: AddressFamily,
        made: impl Fn(Entry) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.attributes.push(NeighbourAttribute::IfIndex(link));
        let listed = self.dump(&Request::ListNeighbours { link: link.into() }, RTM_GETNEIGH, &message, |message| {
            let entry = read(message)?.filter(|entry| entry.link == link && entry.is_permanent);
            Ok(entry.and_then(&made))
        });
        Ok(if_found(listed)?.unwrap_or_default())
    }
}

pub(crate) fn push_neighbour(outgoing: &mut Outgoing, neighbour: &Neighbour, flags: u16) {
    let mut message = permanent(neighbour.link, address_family(Family::of(neighbour.address)));
    message.attributes.push(destination(neighbour.address));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(neighbour.mac.0.to_vec()));
    let request = Request::AddNeighbour { link: neighbour.link.into(), address: neighbour.address };
    outgoing.push(request, RTM_NEWNEIGH, flags, &message);
}

pub(crate) fn push_delete_neighbour(outgoing: &mut Outgoing, neighbour: &Neighbour) {
    let mut message = permanent(neighbour.link, address_family(Family::of(neighbour.address)));
    message.attributes.push(destination(neighbour.address));
    let request = Request::DeleteNeighbour { link: neighbour.link.into(), address: neighbour.address };
    outgoing.push(request, RTM_DELNEIGH, 0, &message);
}

pub(crate) fn push_forwarding(outgoing: &mut Outgoing, entry: &Forwarding, flags: u16) {
    let request = Request::AddForwarding { link: entry.link.into(), mac: entry.mac };
    outgoing.push(request, RTM_NEWNEIGH, flags, &forwarding_message(entry));
}

pub(crate) fn push_delete_forwarding(outgoing: &mut Outgoing, entry: &Forwarding) {
    let request = Request::DeleteForwarding { link: entry.link.into(), mac: entry.mac };
    outgoing.push(request, RTM_DELNEIGH, 0, &forwarding_message(entry));
}

/// The device's own table, not that of a bridge it may be a port of (`NTF_SELF`).
fn forwarding_message(entry: &Forwarding) -> NeighbourMessage {
    let mut message = permanent(entry.link, AddressFamily::Bridge);
    message.header.state = NeighbourState::Other(NUD_PERMANENT | NUD_NOARP);
    message.header.flags = NeighbourFlags::Own;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(entry.mac.0.to_vec()));
    message.attributes.push(destination(entry.host));
    message
}

fn permanent(link: u32, family: AddressFamily) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = link;
    message.header.state = NeighbourState::Permanent;
    message
}

fn destination(address: IpAddr) -> NeighbourAttribute {
    NeighbourAttribute::Destination(match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    })
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// What a neighbour and a forwarding entry have in common.
struct Entry {
    link: u32,
    is_permanent: bool,
    destination: Option<IpAddr>,
    mac: Option<Mac>,
}

/// Reads an `RTM_NEWNEIGH`; `None` for other messages.
fn read(message: &Message<'_>) -> Result<Option<Entry>> {
    let (Some(link), Some(state)) = (read_u32(message.body, 4), read_u16(message.body, 8)) else {
        return Err(Error::Malformed { what: WHAT });
    };
    let mut entry = Entry { link, is_permanent: state & NUD_PERMANENT != 0, destination: None, mac: None };
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            NDA_DST => entry.destination = Some(attribute.ip()?),
            NDA_LLADDR => entry.mac = attribute.array().map(Mac),
            _ => {}
        }
    }
    Ok((message.kind == RTM_NEWNEIGH).then_some(entry))
}
