//! UDP over one link.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use socket2::{Domain, Socket, Type};

/// Opens a socket that sends over the link called `link` only, and hears what arrives there at `port`, for any address of
/// the host or for all. It may broadcast.
///
/// # Errors
/// `ENODEV` if there is no such link, `EADDRINUSE` if the port is taken on it.
pub fn on_link(link: &str, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), None)?;
    socket.bind_device(Some(link.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket.into())
}

/// Sends from one of the host's addresses.
///
/// # Errors
/// That of `sendmsg(2)`: `EINVAL` if the host does not have the address.
pub fn send_from(socket: &UdpSocket, message: &[u8], from: Ipv4Addr, to: SocketAddrV4) -> io::Result<()> {
    let address = SockaddrIn::from(SocketAddrV4::new(from, 0));
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::sockaddr_in::from(address).sin_addr,
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let (message, control) = ([IoSlice::new(message)], [ControlMessage::Ipv4PacketInfo(&info)]);
    sendmsg(socket.as_raw_fd(), &message, &control, MsgFlags::empty(), Some(&SockaddrIn::from(to)))?;
    Ok(())
}

/// Opens a socket on `local`, whose scope is the link if it is a link-local address.
///
/// # Errors
/// `EADDRNOTAVAIL` if the host does not have the address, or does not know yet whether another host has it.
pub fn at(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), None)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// The bytes that were sent and have not left the host: packets wait there until their neighbour's hardware address is
/// known (`SIOCOUTQ`, udp(7)).
///
/// # Errors
/// That of `ioctl(2)`.
#[expect(unsafe_code, reason = "nothing safe wraps this request")]
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: on a UDP socket this request writes one int to where it is told, which lives until the call returns.
    let status = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(bytes).unwrap_or_default()) }
}
