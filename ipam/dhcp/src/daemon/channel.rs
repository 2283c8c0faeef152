//! The socket of a question that is open.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;

use sockets::{BROADCAST, PacketSocket, udp};
use tokio::io::unix::AsyncFd;

use super::place::{Inside, PlaceError};
use crate::v4::packet;
use crate::{v4, v6};

/// The longest packet that is read: a message with the headers of UDP and, at its longest, of IPv4.
const LONGEST: usize = v4::MAX_MESSAGE as usize + 8 + 60;

/// How packets leave and arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Below IPv4, by an interface that has no address yet.
    Unaddressed,
    /// By UDP from the leased address. Answers may be broadcast: a server that says no has to (RFC 2131, section 4.1).
    From(Ipv4Addr),
    /// By UDP from the interface's link-local address.
    LinkLocal,
}

/// An open socket.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) way: Way,
    /// There until the channel is dropped.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    socket: Socket,
    watched: AsyncFd<OwnedFd>,
}

/// tokio has no say in sending: what does not leave at once is a packet lost, and the question is repeated.
#[derive(Debug)]
enum Socket {
    Packet(PacketSocket),
    Udp(UdpSocket),
}

impl Channel {
    /// Opens a socket inside the namespace; it stays there.
    pub(super) fn open(inside: &mut Inside, way: Way) -> Result<Self, PlaceError> {
        let failed = |error| PlaceError::Io("open a socket for DHCP", error);
        let index = inside.link.index;
        let socket = match way {
            Way::Unaddressed => {
                inside.netns.run(|| PacketSocket::open(index, v4::CLIENT_PORT))?.map(Socket::Packet).map_err(failed)?
            }
            Way::From(address) => {
                if !inside.has(address.into())? {
                    return Err(failed(io::ErrorKind::AddrNotAvailable.into()));
                }
                let name = inside.link.name.as_str();
                inside.netns.run(|| udp::on_link(name, v4::CLIENT_PORT))?.map(Socket::Udp).map_err(failed)?
            }
            Way::LinkLocal => {
                let address = inside.link_local()?.ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
                let local = SocketAddrV6::new(address, v6::CLIENT_PORT, 0, index).into();
                inside.netns.run(|| udp::at(local))?.map(Socket::Udp).map_err(failed)?
            }
        };
        let watched = match &socket {
            Socket::Packet(socket) => sockets::watch(socket),
            Socket::Udp(socket) => sockets::watch(socket),
        };
        Ok(Self { way, open: Some(Open { socket, watched: watched.map_err(failed)? }) })
    }

    /// Sends a message to a server, or broadcasts it. Without an address it is broadcast on the link whatever `to` says,
    /// for who has that address is not known yet.
    pub(super) fn send(&self, message: &[u8], from: Ipv4Addr, to: SocketAddr) -> io::Result<()> {
        match (self.open.as_ref().map(|open| &open.socket), to) {
            (Some(Socket::Packet(socket)), SocketAddr::V4(to)) => {
                let from = SocketAddrV4::new(from, v4::CLIENT_PORT);
                let packet = packet::wrap(message, from, to).ok_or(io::ErrorKind::InvalidInput)?;
                socket.send_to(&packet, BROADCAST)
            }
            (Some(Socket::Udp(socket)), SocketAddr::V4(to)) => udp::send_from(socket, message, from, to),
            (Some(Socket::Udp(socket)), to) => socket.send_to(message, to).map(drop),
            (None, _) | (Some(Socket::Packet(_)), _) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether everything that was sent has left the host.
    pub(super) fn is_idle(&self) -> bool {
        match &self.open {
            Some(Open { socket: Socket::Udp(socket), .. }) => udp::unsent(socket).map_or(true, |bytes| bytes == 0),
            _ => true,
        }
    }

    /// The next message that arrives.
    pub(super) async fn receive(&self) -> io::Result<Vec<u8>> {
        let Some(Open { socket, watched }) = &self.open else { return std::future::pending().await };
        loop {
            let mut readable = watched.readable().await?;
            if let Ok(received) = readable.try_io(|_| socket.receive())
                && let Some(message) = received?
            {
                return Ok(message);
            }
        }
    }
}

impl Socket {
    /// A message; `None` if what arrived carries none.
    fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; LONGEST];
        match self {
            Self::Packet(socket) => {
                let length = socket.receive(&mut buffer)?;
                Ok(packet::unwrap(&buffer[..length], v4::CLIENT_PORT).map(<[u8]>::to_vec))
            }
            Self::Udp(socket) => {
                let (length, _) = socket.recv_from(&mut buffer)?;
                buffer.truncate(length);
                Ok(Some(buffer))
            }
        }
    }
}

impl Drop for Channel {
    /// The kernel waits before it lets go of a packet socket, and all else would wait with it.
    fn drop(&mut self) {
        if let (Some(Open { socket: Socket::Packet(socket), watched }), Ok(runtime)) =
            (self.open.take(), tokio::runtime::Handle::try_current())
        {
            let copy = watched.into_inner();
            runtime.spawn_blocking(move || drop((socket, copy)));
        }
    }
}
