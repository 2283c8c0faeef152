//! Where containers are answered.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use cni::Attachment;
use names::{ADDRESS, Listen, PORT, redirect};
use netlink::{LinkChange, Netns, NetnsId};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use suite::Labelled;

use crate::directory::Entry;

/// What the kernel keeps of a container's queries until they are read, in bytes. It counts some 800 for each, and while
/// this process waits for its turn on the processor, hundreds arrive.
const QUEUE: usize = 1 << 20;
/// How many connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// A place to listen at, on UDP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// 127.0.0.11 in a container, at this port.
    Inside(NetnsId, u16),
    /// ::1 in a container, at this port, to which questions over IPv6 are led that are intercepted.
    Inside6(NetnsId, u16),
    /// Port 53 of a gateway that the host has.
    Gateway(IpAddr),
}

/// The sockets of a place.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: TcpListener,
}

impl Place {
    /// Where a container is answered.
    pub(crate) fn of(entry: &Entry) -> Vec<Self> {
        let (record, namespace) = (&entry.record, entry.record.namespace.id());
        let port = match record.listen {
            Listen::Rewrite => redirect::LISTENED,
            Listen::Direct => PORT,
            Listen::Gateway => return record.gateways.iter().copied().map(Self::Gateway).collect(),
        };
        let over_ipv6 = record.intercept.then_some(Self::Inside6(namespace, port));
        std::iter::once(Self::Inside(namespace, port)).chain(over_ipv6).collect()
    }

    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Self::Inside(_, port) => (ADDRESS, port).into(),
            Self::Inside6(_, port) => (redirect::ADDRESS_V6, port).into(),
            Self::Gateway(address) => (address, PORT).into(),
        }
    }

    /// Opens the sockets, in the container's namespace if they are to be there. A gateway's address need not be there yet.
    pub(crate) fn open(self, inside: &Netns, user: Option<&Attachment>) -> io::Result<Sockets> {
        match self {
            Self::Inside(..) | Self::Inside6(..) => inside
                .run(|| {
                    raise_loopback(user).map_err(io::Error::other)?;
                    self.bind()
                })
                .map_err(io::Error::other)?,
            Self::Gateway(_) => self.bind(),
        }
    }

    fn bind(self) -> io::Result<Sockets> {
        let address = self.address();
        let make = |kind: Type| {
            let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), None)?;
            if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }?;
            Ok::<_, io::Error>(socket)
        };
        let (udp, tcp) = (make(Type::DGRAM)?, make(Type::STREAM)?);
        // Root of a user namespace has to do with what the host allows.
        setsockopt(&udp, sockopt::RcvBufForce, &QUEUE).or_else(|_| setsockopt(&udp, sockopt::RcvBuf, &QUEUE))?;
        tcp.set_reuse_address(true)?;
        udp.bind(&address.into())?;
        tcp.bind(&address.into())?;
        tcp.listen(BACKLOG)?;
        Ok(Sockets { udp: udp.into(), tcp: tcp.into() })
    }

    /// Reads a name back.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut words = name.split('-');
        let (kind, rest): (_, Vec<_>) = (words.next()?, words.collect());
        match (kind, &rest[..]) {
            ("inside" | "inside6", [device, inode, port]) => {
                let id = NetnsId { device: device.parse().ok()?, inode: inode.parse().ok()? };
                let inside = if kind == "inside" { Self::Inside } else { Self::Inside6 };
                Some(inside(id, port.parse().ok()?))
            }
            ("gateway4", [bits]) => Some(Self::Gateway(IpAddr::V4(u32::from_str_radix(bits, 16).ok()?.into()))),
            ("gateway6", [bits]) => Some(Self::Gateway(IpAddr::V6(u128::from_str_radix(bits, 16).ok()?.into()))),
            _ => None,
        }
    }
}

/// Answers come from 127.0.0.11 only if that was the namespace's own when the socket was bound: to a kernel that has no route yet
/// every address is one for broadcasts, which nothing is sent from (`inet_dev_addr_type`, net/ipv4/fib_frontend.c). Its label has
/// the plugin set it down again.
fn raise_loopback(user: Option<&Attachment>) -> netlink::Result<()> {
    let mut socket = netlink::Socket::open()?;
    let lo = socket.link("lo")?;
    if lo.up {
        return Ok(());
    }
    let label = user.filter(|_| lo.alias.is_none()).map(Labelled::label);
    socket.change_link(lo.index, &LinkChange { up: Some(true), alias: label.as_deref(), ..LinkChange::default() })
}

/// A name under which systemd can keep the sockets: it has no colon.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside(NetnsId { device, inode }, port) => write!(formatter, "inside-{device}-{inode}-{port}"),
            Self::Inside6(NetnsId { device, inode }, port) => write!(formatter, "inside6-{device}-{inode}-{port}"),
            Self::Gateway(IpAddr::V4(address)) => write!(formatter, "gateway4-{:x}", address.to_bits()),
            Self::Gateway(IpAddr::V6(address)) => write!(formatter, "gateway6-{:x}", address.to_bits()),
        }
    }
}

impl Sockets {
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.udp.as_fd(), self.tcp.as_fd()]
    }

    /// The sockets of a place that an earlier server had; `None` if one is missing, or is something else.
    pub(crate) fn kept(place: Place, descriptors: Vec<OwnedFd>) -> Option<Self> {
        let (mut udp, mut tcp) = (None, None);
        for descriptor in descriptors {
            let socket = SockRef::from(&descriptor);
            let address = socket.local_addr().ok()?.as_socket()?;
            socket.set_nonblocking(true).ok()?;
            let kind = socket.r#type().ok().filter(|_| address == place.address())?;
            if kind == Type::DGRAM {
                udp = Some(descriptor.into());
            } else if socket.is_listener().unwrap_or(false) {
                tcp = Some(descriptor.into());
            }
        }
        Some(Self { udp: udp?, tcp: tcp? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_by_its_name() {
        let inside = Place::Inside(NetnsId { device: 4, inode: 4_026_532_000 }, 53053);
        for place in [inside, Place::Gateway("10.1.0.1".parse().unwrap()), Place::Gateway("fd00::1".parse().unwrap())] {
            let name = place.to_string();
            assert!(!name.contains(':') && name.len() < 256);
            assert_eq!(Place::from_name(&name), Some(place), "{name}");
        }
        for name in ["", "inside", "inside-4-5", "inside-4-5-70000", "gateway4-x", "gateway4-100000000", "dns.socket"] {
            assert_eq!(Place::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn sockets_are_known_again_and_others_are_not() {
        let place = Place::Gateway("127.77.0.1".parse().unwrap());
        let Sockets { udp, tcp } = place.bind().unwrap();
        let copies = || vec![udp.as_fd().try_clone_to_owned().unwrap(), tcp.as_fd().try_clone_to_owned().unwrap()];
        assert!(Sockets::kept(place, copies()).is_some());
        assert!(Sockets::kept(Place::Gateway("127.77.0.2".parse().unwrap()), copies()).is_none());
        assert!(Sockets::kept(place, copies().split_off(1)).is_none());
        assert!(Sockets::kept(place, vec![std::fs::File::open("/dev/null").unwrap().into()]).is_none());
    }
}
