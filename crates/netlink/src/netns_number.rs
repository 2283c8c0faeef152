//! The numbers by which a namespace knows others (include/uapi/linux/net_namespace.h).

use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use crate::error::{Error, Request, Result};
use crate::message::{Message, attributes};
use crate::netns::Netns;
use crate::socket::Socket;

const RTM_GETNSID: u16 = 90;
/// Length of `struct rtgenmsg`, aligned.
const HEADER_LEN: usize = 4;
const NETNSA_NSID: u16 = 1;
const WHAT: &str = "a namespace's number";

impl Socket {
    /// The number by which this socket's namespace knows `netns`, as in [`crate::Link::peer_netns_id`]. `None` if it has none;
    /// where a link's other end is gets one when the link is read.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn netns_number(&mut self, netns: &Netns) -> Result<Option<i32>> {
        let mut message = NsidMessage::default();
        message.attributes.push(NsidAttribute::Fd(netns.raw_fd().cast_unsigned()));
        self.get(Request::GetNetnsNumber { path: netns.path().to_owned() }, RTM_GETNSID, &message, read)
    }
}

/// The kernel says -1 where there is no number.
fn read(message: &Message<'_>) -> Result<Option<i32>> {
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        if attribute.kind == NETNSA_NSID {
            return Ok(Some(attribute.i32()?).filter(|&number| number >= 0));
        }
    }
    Err(Error::Malformed { what: WHAT })
}
