use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

/// All stations of an Ethernet.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// `ETH_P_IP`, as the kernel wants it: in network byte order.
const ETH_P_IP: u16 = 0x0800_u16.to_be();

#[expect(clippy::cast_possible_truncation, reason = "17")]
const AF_PACKET: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;

/// Whole IPv4 packets on one Ethernet link, read before any address, route or firewall rule of the host is asked.
///
/// The kernel writes and takes off the Ethernet header. Of what arrives, only UDP to one port gets here: the rest is
/// turned away inside the kernel and wakes no process.
///
/// Closing one waits for an RCU grace period (10 ms and more; `packet_release`, net/packet/af_packet.c).
#[derive(Debug)]
pub struct PacketSocket {
    inner: Socket,
    link: i32,
}

impl PacketSocket {
    /// Opens one on the link with index `link` for UDP to `port`.
    ///
    /// # Errors
    /// `ENODEV` or `ENETDOWN` where the link is gone or down, `EPERM` without `CAP_NET_RAW`.
    pub fn open(link: u32, port: u16) -> io::Result<Self> {
        // Without a protocol it hears nothing before it has its filter and its link.
        let inner = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), None)?;
        inner.attach_filter(&udp_to(port))?;
        let link = i32::try_from(link).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        inner.bind(&address(link, [0; 6]))?;
        Ok(Self { inner, link })
    }

    /// Sends an IPv4 packet to the owner of an Ethernet address.
    ///
    /// # Errors
    /// That of `sendto(2)`.
    pub fn send_to(&self, packet: &[u8], destination: [u8; 6]) -> io::Result<()> {
        self.inner.send_to(packet, &address(self.link, destination)).map(drop)
    }

    /// Reads a packet, cut off at the buffer's end.
    ///
    /// # Errors
    /// `EWOULDBLOCK` if there is none; `ENETDOWN` once after the link went down.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.inner).read(buffer)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// An Ethernet address on a link, for IPv4.
#[expect(unsafe_code, reason = "no safe function makes an address of a link")]
fn address(link: i32, owner: [u8; 6]) -> SockAddr {
    #[expect(clippy::cast_possible_truncation, reason = "20 bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: every address of the kernel's fits into the storage and is aligned in it, and this one is numbers only, of
    // which any are valid.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = AF_PACKET;
    address.sll_protocol = ETH_P_IP;
    address.sll_ifindex = link;
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&owner);
    // SAFETY: the storage holds an address of its family, which is so long.
    unsafe { SockAddr::new(storage, LENGTH) }
}

/// A classic BPF program (bpf(4); Documentation/networking/filter.rst) over an IPv4 packet: whole UDP datagrams to
/// `port`, and the first fragment of none.
fn udp_to(port: u16) -> [SockFilter; 9] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_AT_X: u16 = 0x48;
    const X_IS_HEADER_LENGTH: u16 = 0xb1;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const PROTOCOL: u32 = 9;
    const FRAGMENT: u32 = 6;
    const UDP: u32 = 17;
    /// More fragments follow, or this is not the first.
    const IS_FRAGMENT: u32 = 0x3fff;
    let step = SockFilter::new;
    [
        step(LOAD_BYTE, 0, 0, PROTOCOL),
        step(IF_EQUAL, 0, 6, UDP),
        step(LOAD_HALF, 0, 0, FRAGMENT),
        step(IF_ANY_BIT, 4, 0, IS_FRAGMENT),
        step(X_IS_HEADER_LENGTH, 0, 0, 0),
        step(LOAD_HALF_AT_X, 0, 0, 2),
        step(IF_EQUAL, 0, 1, u32::from(port)),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}
