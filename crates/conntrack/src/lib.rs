//! Removal of connection tracking entries.
//!
//! NAT is decided once for each connection, and UDP "connections" live for as long as packets keep coming.
//! So when a port is published, or is not any more, what the kernel remembers about its UDP traffic is
//! wrong and has to go.
//!
//! The kernel filters: one message, whatever the size of its table (`CTA_FILTER` on flush, Linux 6.8). Older
//! kernels list the entries that match (`CTA_FILTER` on dump, Linux 5.8), or all of them, and each is
//! deleted by itself; so it is done with many filters.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nfnetlink::{Attributes, Message, Socket, family, flags, subsystem};

mod uapi;
use uapi::{attribute, filter, ip, operation, proto, tuple};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Up to this many filters the kernel looks for the entries of each. It walks its whole table for it, a millisecond or more.
const FEW: usize = 16;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A failed removal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or the socket refused.
    #[error("cannot {doing} connection tracking entries of port {port}")]
    Netlink {
        /// What was being done.
        doing: &'static str,
        /// The port that was asked for.
        port: u16,
        /// The kernel's answer.
        #[source]
        source: nfnetlink::Error,
    },
}

/// The Internet protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Entries of IPv4 connections.
    V4,
    /// Entries of IPv6 connections.
    V6,
}

impl Version {
    const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// Which entries to remove: those that match everything given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// The version; addresses of the other one match nothing.
    pub version: Version,
    /// The transport protocol's number: 17 for UDP.
    pub protocol: u8,
    /// The port that the first packet was sent to, before any translation.
    pub port: u16,
    /// The address that the first packet was sent to, before any translation.
    pub address: Option<IpAddr>,
    /// The address that answers come from: a container's, if the connection was translated to it.
    pub reply_source: Option<IpAddr>,
}

/// Removes the entries that match any of `filters`, in the calling thread's network namespace. A kernel
/// without connection tracking has none.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses, or if the privilege (`CAP_NET_ADMIN`) is missing.
pub fn remove(filters: &[Filter]) -> Result<()> {
    let Some(first) = filters.first() else {
        return Ok(());
    };
    let mut socket = match Socket::open() {
        Err(error) if error.is_unsupported() => return Ok(()),
        other => other.map_err(first.failed("reach"))?,
    };
    if filters.len() > FEW {
        return Version::BOTH.into_iter().try_for_each(|version| remove_many(&mut socket, filters, version));
    }
    filters.iter().try_for_each(|filter| remove_matching(&mut socket, filter))
}

/// Removes the entries of one version that match any of many filters: one look at the table for all of them, where the
/// kernel would look at it once for each.
fn remove_many(socket: &mut Socket, filters: &[Filter], version: Version) -> Result<()> {
    let mut by_destination: BTreeMap<_, Vec<&Filter>> = BTreeMap::new();
    for filter in filters.iter().filter(|filter| filter.version == version) {
        by_destination.entry((filter.protocol, filter.port)).or_default().push(filter);
    }
    let Some(any) = by_destination.values().flatten().next() else { return Ok(()) };
    let listed = socket.dump(&any.request(operation::GET), |reply, found| {
        let entry = reply.attributes();
        let candidates = destination(entry).and_then(|destination| by_destination.get(&destination));
        let matching = candidates.into_iter().flatten().find(|filter| filter.matches(entry));
        found.extend(matching.map(|filter| filter.deletion(entry)));
    });
    delete(socket, any, or_none(listed, any)?)
}

fn remove_matching(socket: &mut Socket, filter: &Filter) -> Result<()> {
    if !filter.kernel_can_match() {
        return remove_one_by_one(socket, filter);
    }
    match socket.command(filter.message(operation::DELETE)) {
        Err(error) if error.is_not_found() => Ok(()),
        // A kernel that cannot filter a flush takes the incomplete tuple for that of one entry, and refuses.
        Err(error) if error.is_unsupported() => remove_one_by_one(socket, filter),
        other => other.map_err(filter.failed("remove")),
    }
}

fn remove_one_by_one(socket: &mut Socket, filter: &Filter) -> Result<()> {
    let messages = list(socket, filter)?;
    delete(socket, filter, messages)
}

fn delete(socket: &mut Socket, filter: &Filter, messages: Vec<Message>) -> Result<()> {
    for message in messages {
        match socket.command(message) {
            Err(error) if error.is_not_found() => {}
            other => other.map_err(filter.failed("remove"))?,
        }
    }
    Ok(())
}

/// The messages that delete the entries that match.
fn list(socket: &mut Socket, filter: &Filter) -> Result<Vec<Message>> {
    let mut dump = |message: &Message| {
        socket.dump(message, |reply, found| {
            let entry = reply.attributes();
            found.extend(filter.matches(entry).then(|| filter.deletion(entry)));
        })
    };
    let mut listed = dump(&filter.message(operation::GET));
    if listed.as_ref().is_err_and(nfnetlink::Error::is_unsupported) {
        listed = dump(&filter.request(operation::GET));
    }
    or_none(listed, filter)
}

fn or_none(listed: nfnetlink::Result<Vec<Message>>, filter: &Filter) -> Result<Vec<Message>> {
    match listed {
        Err(error) if error.is_unsupported() => Ok(Vec::new()),
        other => other.map_err(filter.failed("list")),
    }
}

/// The protocol and the port that an entry's first packet was sent to.
fn destination(entry: Attributes<'_>) -> Option<(u8, u16)> {
    let proto = entry.inside(attribute::TUPLE_ORIG).inside(tuple::PROTO);
    let [number] = proto.find(proto::NUMBER)?.value else { return None };
    Some((*number, proto.find(proto::DST_PORT)?.be16()?))
}

impl Filter {
    fn failed(&self, doing: &'static str) -> impl FnOnce(nfnetlink::Error) -> Error {
        let port = self.port;
        move |source| Error::Netlink { doing, port, source }
    }

    fn request(&self, operation: u8) -> Message {
        let family = match self.version {
            Version::V4 => family::IPV4,
            Version::V6 => family::IPV6,
        };
        Message::new(subsystem::CONNTRACK, operation, flags::REQUEST, family)
    }

    /// Whether the kernel's filter does what it says (net/netfilter/nf_conntrack_netlink.c,
    /// `ctnetlink_filter_match_tuple`; seen with Linux 6.18). It compares IPv6 addresses the wrong way round,
    /// taking the zero of `ipv6_addr_cmp` for a difference, and the ports of TCP and UDP alone: with others
    /// it would remove what does not match.
    fn kernel_can_match(&self) -> bool {
        let addresses = self.version == Version::V4 || (self.address.is_none() && self.reply_source.is_none());
        addresses && matches!(self.protocol, TCP | UDP)
    }

    /// A request for what matches, as far as the kernel can tell. There is always an original tuple in it: a DELETE without one would clear
    /// the whole table.
    fn message(&self, operation: u8) -> Message {
        let trusted = |address: Option<IpAddr>| address.filter(|_| self.kernel_can_match());
        let (orig_address, reply_address) = (trusted(self.address), trusted(self.reply_source));
        let mut message = self.request(operation);
        message.nest(attribute::TUPLE_ORIG, |message| {
            if let Some(address) = orig_address {
                message.nest(tuple::IP, |message| write_address(message, address, ip::V4_DST, ip::V6_DST));
            }
            message.nest(tuple::PROTO, |message| {
                message.u8(proto::NUMBER, self.protocol).be16(proto::DST_PORT, self.port);
            });
        });
        if let Some(address) = reply_address {
            message.nest(attribute::TUPLE_REPLY, |message| {
                message.nest(tuple::IP, |message| write_address(message, address, ip::V4_SRC, ip::V6_SRC));
            });
        }
        message.nest(attribute::FILTER, |message| {
            let address = orig_address.map_or(0, |_| filter::IP_DST);
            let orig = filter::PROTO_NUMBER | filter::PROTO_DST_PORT | address;
            let reply = reply_address.map_or(0, |_| filter::IP_SRC);
            message.bytes(filter::ORIG_FLAGS, &orig.to_ne_bytes());
            message.bytes(filter::REPLY_FLAGS, &reply.to_ne_bytes());
        });
        message
    }

    /// Whether an entry matches: the kernel's own filter may be missing.
    fn matches(&self, entry: Attributes<'_>) -> bool {
        let orig = entry.inside(attribute::TUPLE_ORIG);
        let reply = entry.inside(attribute::TUPLE_REPLY);
        let equals = |wanted: Option<IpAddr>, tuple: Attributes<'_>, v4, v6| match wanted {
            None => true,
            Some(IpAddr::V4(address)) => {
                tuple.inside(tuple::IP).find(v4).is_some_and(|found| found.value == address.octets())
            }
            Some(IpAddr::V6(address)) => {
                tuple.inside(tuple::IP).find(v6).is_some_and(|found| found.value == address.octets())
            }
        };
        destination(entry) == Some((self.protocol, self.port))
            && equals(self.address, orig, ip::V4_DST, ip::V6_DST)
            && equals(self.reply_source, reply, ip::V4_SRC, ip::V6_SRC)
    }

    /// The message that deletes exactly this entry.
    fn deletion(&self, entry: Attributes<'_>) -> Message {
        let mut message = self.request(operation::DELETE);
        message.nest(attribute::TUPLE_ORIG, |message| {
            for attribute in entry.inside(attribute::TUPLE_ORIG) {
                message.bytes(attribute.kind, attribute.value);
            }
        });
        for kind in [attribute::ID, attribute::ZONE] {
            if let Some(attribute) = entry.find(kind) {
                message.bytes(kind, attribute.value);
            }
        }
        message
    }
}

fn write_address(message: &mut Message, address: IpAddr, v4: u16, v6: u16) {
    match address {
        IpAddr::V4(address) => message.bytes(v4, &address.octets()),
        IpAddr::V6(address) => message.bytes(v6, &address.octets()),
    };
}

#[cfg(test)]
mod tests;
