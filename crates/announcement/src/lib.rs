//! Tells the neighbours on a link at once where an address lives.
//!
//! An address that moves from one container to the next leaves its old Ethernet address in the caches of
//! everybody who talked to it, and until those entries expire their packets go nowhere. An announcement
//! corrects the entries that exist; it creates none.
//!
//! - **IPv4**: an ARP announcement (RFC 5227, section 2.3): a broadcast *request* in which sender and target
//!   are the address announced. Request rather than reply, as RFC 5227, section 3, argues: RFC 826 has every
//!   receiver update the sender's entry before it looks at the operation, so both forms should do the same,
//!   but a request is what has always been sent, and not everybody heeds a reply to no question. In Linux it
//!   also passes the lock time that otherwise protects a fresh entry (`arp_is_garp`,
//!   net/ipv4/arp.c).
//! - **IPv6**: an unsolicited Neighbor Advertisement (RFC 4861, section 7.2.6) to all nodes, with the
//!   override flag and the target link-layer address, so that it replaces what is cached. The router flag is
//!   clear: do not announce a router's address, or hosts would drop it as their default router.
//!
//! Frames leave through the network namespace of the calling thread, which needs CAP_NET_RAW there; the link
//! must be up.

mod frame;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Why an address could not be announced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket for raw frames.
    #[error("cannot open a packet socket: it needs CAP_NET_RAW")]
    Socket(#[source] io::Error),
    /// The frame was not sent.
    #[error("cannot announce {address} on link #{link}")]
    Send {
        /// The address.
        address: IpAddr,
        /// Index of the link.
        link: u32,
        /// The errno: `ENXIO` or `ENODEV` if there is no such link, `ENETDOWN` if it is down.
        #[source]
        source: io::Error,
    },
}

/// Announces that all of `addresses` live at `mac` on the link with index `link`.
///
/// # Errors
/// The first that failed; those before it were sent.
pub fn announce(link: u32, mac: [u8; 6], addresses: &[IpAddr]) -> Result<(), Error> {
    if addresses.is_empty() {
        return Ok(());
    }
    let socket = open()?;
    for &address in addresses {
        let sent = match address {
            IpAddr::V4(v4) => send(&socket, link, frame::ETHERTYPE_ARP, &frame::arp_announcement(mac, v4)),
            IpAddr::V6(v6) => send(&socket, link, frame::ETHERTYPE_IPV6, &frame::neighbor_advertisement(mac, v6)),
        };
        sent.map_err(|source| Error::Send { address, link, source })?;
    }
    Ok(())
}

/// Announces an IPv4 address by an ARP announcement; see [`announce`].
///
/// # Errors
/// When it could not be sent.
pub fn announce_v4(link: u32, mac: [u8; 6], address: Ipv4Addr) -> Result<(), Error> {
    announce(link, mac, &[address.into()])
}

/// Announces an IPv6 address by an unsolicited Neighbor Advertisement; see [`announce`].
///
/// # Errors
/// When it could not be sent.
pub fn announce_v6(link: u32, mac: [u8; 6], address: Ipv6Addr) -> Result<(), Error> {
    announce(link, mac, &[address.into()])
}

/// A socket that sends whole frames and, with protocol 0, receives none.
fn open() -> Result<OwnedFd, Error> {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| Error::Socket(errno.into()))
}

#[expect(clippy::cast_possible_truncation, reason = "17 fits")]
const AF_PACKET: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "20 fits")]
const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

#[expect(unsafe_code, reason = "no safe wrapper makes a sockaddr_ll from a link's index")]
fn send(socket: &OwnedFd, link: u32, ethertype: [u8; 2], frame: &[u8]) -> io::Result<()> {
    let index = i32::try_from(link).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: sockaddr_ll consists of integers and an array of integers, for which zero is a value.
    let mut destination: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    destination.sll_family = AF_PACKET;
    destination.sll_protocol = u16::from_ne_bytes(ethertype);
    destination.sll_ifindex = index;
    // SAFETY: the descriptor is open while the socket is borrowed; frame and destination are borrowed for
    // the whole call with their own lengths, and the kernel only reads them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            std::ptr::from_ref(&destination).cast(),
            ADDRESS_LEN,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
