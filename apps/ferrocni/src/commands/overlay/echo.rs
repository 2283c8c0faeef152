//! ICMP echo requests (RFC 792, RFC 4443) to many at once.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How long answers may take, each time that they are asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often everybody who has not answered is asked.
const ATTEMPTS: usize = 3;
/// So many are asked before answers are read, so that those find room in the socket.
const AT_ONCE: usize = 64;
/// Longer than any packet, in bytes.
const LONGEST: usize = 1 << 16;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) to: IpAddr,
    /// Bytes behind the ICMP header.
    pub(super) size: usize,
}

/// One family's socket, and what its packets are like.
struct Echo {
    socket: Socket,
    request: u8,
    reply: u8,
    /// The kernel puts the IP header before what is read, and leaves the checksum to who writes.
    is_ipv4: bool,
    id: u16,
}

/// Asks all, and returns who has answered.
pub(super) fn ask(probes: &[Probe]) -> io::Result<BTreeSet<IpAddr>> {
    let mut answered = BTreeSet::new();
    for is_ipv4 in [true, false] {
        let of_family: Vec<_> = probes.iter().filter(|probe| probe.to.is_ipv4() == is_ipv4).copied().collect();
        if !of_family.is_empty() {
            let mut echo = Echo::open(is_ipv4)?;
            for some in of_family.chunks(AT_ONCE) {
                answered.append(&mut echo.ask(some)?);
            }
        }
    }
    Ok(answered)
}

impl Echo {
    fn open(is_ipv4: bool) -> io::Result<Self> {
        let (domain, protocol, request, reply) =
            if is_ipv4 { (Domain::IPV4, Protocol::ICMPV4, 8, 0) } else { (Domain::IPV6, Protocol::ICMPV6, 128, 129) };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        Ok(Self { socket, request, reply, is_ipv4, id: u16::from_be_bytes(id) })
    }

    fn ask(&mut self, probes: &[Probe]) -> io::Result<BTreeSet<IpAddr>> {
        let mut answered = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            for (number, probe) in probes.iter().enumerate().filter(|(_, probe)| !answered.contains(&probe.to)) {
                let request = self.request(u16::try_from(number).unwrap_or_default(), probe.size);
                // Nobody can be asked where there is no way: that is no answer either.
                let _ = self.socket.send_to(&request, &SockAddr::from(SocketAddr::new(probe.to, 0)));
            }
            let until = Instant::now() + PATIENCE;
            while answered.len() < probes.len() {
                match self.next(until)? {
                    Some((number, size)) => {
                        let asked = probes.get(usize::from(number)).filter(|probe| probe.size == size);
                        answered.extend(asked.map(|probe| probe.to));
                    }
                    None => break,
                }
            }
        }
        Ok(answered)
    }

    /// The number and size of the next answer; nothing if none comes in time.
    fn next(&mut self, until: Instant) -> io::Result<Option<(u16, usize)>> {
        let mut packet = vec![0; LONGEST];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut packet) {
                Ok(length) => {
                    if let Some(answer) = self.read(&packet[..length]) {
                        return Ok(Some(answer));
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn request(&self, number: u16, size: usize) -> Vec<u8> {
        let mut packet = vec![self.request, 0, 0, 0];
        packet.extend(self.id.to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.resize(packet.len() + size, 0);
        if self.is_ipv4 {
            let sum = checksum(&packet).to_be_bytes();
            packet[2..4].copy_from_slice(&sum);
        }
        packet
    }

    fn read(&self, packet: &[u8]) -> Option<(u16, usize)> {
        let headers = if self.is_ipv4 { usize::from(packet.first()? & 0x0f) * 4 } else { 0 };
        let packet = packet.get(headers..)?;
        let is_ours = *packet.first()? == self.reply && packet.get(4..6)? == self.id.to_be_bytes();
        let number = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?);
        is_ours.then_some((number, packet.len() - 8))
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_packet_with_its_checksum_is_zero() {
        assert_eq!(
            checksum(&[8, 0, 0, 0, 0x12, 0x34, 0, 1, 0xab]),
            !(0x0800 + 0x1234 + 1 + 0xab00_u16.wrapping_add(0))
        );
        let mut packet = vec![8, 0, 0, 0, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff];
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
        assert_eq!(checksum(&packet), 0);
    }
}
