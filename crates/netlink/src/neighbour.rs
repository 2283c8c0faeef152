use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};

use crate::error::{Error, Request, Result};
use crate::mac::Mac;
use crate::message::{Message, read_u16, read_u32};
use crate::socket::{Outgoing, Socket};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// Length of `struct ndmsg`.
const HEADER_LEN: usize = 12;

/// What a link knows about a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Where it answers; `None` while that is being asked or after nobody answered.
    pub mac: Option<Mac>,
    /// Bits of `NUD_*` (include/uapi/linux/neighbour.h): 0x02 reachable, 0x04 stale, 0x80 permanent, ...
    pub state: u16,
}

impl Socket {
    /// What the link with index `link` knows about its neighbours, both families.
    ///
    /// # Errors
    /// The kernel's refusal; a link that does not exist knows nobody.
    pub fn neighbours(&mut self, link: u32) -> Result<Vec<Neighbour>> {
        let mut message = NeighbourMessage::default();
        message.attributes.push(NeighbourAttribute::IfIndex(link));
        self.dump(&Request::ListNeighbours { link }, RTM_GETNEIGH, &message, |message| {
            Ok(read(message)?.filter(|neighbour| neighbour.link == link))
        })
    }

    /// Forgets a neighbour, so that the next packet asks for it anew.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the link is gone or does not know the neighbour.
    pub fn delete_neighbour(&mut self, link: u32, address: IpAddr) -> Result<()> {
        self.batch().delete_neighbour(link, address).send()
    }
}

pub(crate) fn push_delete(outgoing: &mut Outgoing, link: u32, address: IpAddr) {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = link;
    let (family, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(destination));
    outgoing.push(Request::DeleteNeighbour { link, address }, RTM_DELNEIGH, 0, &message);
}

/// Reads an `RTM_NEWNEIGH`; `None` for other messages and for entries without an IP address.
pub(crate) fn read(message: &Message<'_>) -> Result<Option<Neighbour>> {
    const WHAT: &str = "a neighbour";
    let link = read_u32(message.body, 4).ok_or(Error::Malformed { what: WHAT })?;
    let state = read_u16(message.body, 8).ok_or(Error::Malformed { what: WHAT })?;
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes(HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            NDA_DST => address = attribute.ip().ok(),
            NDA_LLADDR => mac = attribute.array().map(Mac),
            _ => {}
        }
    }
    let address = address.filter(|_| message.kind == RTM_NEWNEIGH);
    Ok(address.map(|address| Neighbour { link, address, mac, state }))
}
