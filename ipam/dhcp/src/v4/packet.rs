//! IPv4 and UDP around a message, for links that have no address yet (RFC 791, RFC 768).

use std::net::SocketAddrV4;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const TIME_TO_LIVE: u8 = 64;

/// The packet that carries `message`; `None` if it would be too long for one.
#[must_use]
pub(crate) fn wrap(message: &[u8], from: SocketAddrV4, to: SocketAddrV4) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(UDP_HEADER + message.len()).ok()?;
    let length = udp_length.checked_add(20)?;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, TIME_TO_LIVE, UDP, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let checksum = !sum(0, &packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());

    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(udp_length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(message);
    // Both addresses, the protocol and the length count once more.
    let pseudo_header = sum(u32::from(UDP) + u32::from(udp_length), &packet[12..IP_HEADER]);
    let checksum = match !sum(pseudo_header.into(), &packet[IP_HEADER..]) {
        // Zero would say that there is none.
        0 => u16::MAX,
        checksum => checksum,
    };
    packet[IP_HEADER + 6..IP_HEADER + 8].copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

/// The message in a packet for `port`; `None` if there is none.
///
/// Checksums are not verified: the kernel leaves them to a network card, and there is none between two links of one host.
/// A damaged message fails to parse, or does not match the request.
#[must_use]
pub(crate) fn unwrap(packet: &[u8], port: u16) -> Option<&[u8]> {
    let &[version_and_length, _, high, low, ..] = packet else { return None };
    let header = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 || header < IP_HEADER || packet.get(9) != Some(&UDP) {
        return None;
    }
    // An Ethernet frame may be padded behind the packet.
    let datagram = packet.get(header..usize::from(u16::from_be_bytes([high, low])))?;
    let &[_, _, to_high, to_low, high, low, ..] = datagram else { return None };
    if u16::from_be_bytes([to_high, to_low]) != port {
        return None;
    }
    datagram.get(UDP_HEADER..usize::from(u16::from_be_bytes([high, low])))
}

/// The Internet's sum of 16-bit words (RFC 1071), begun with `start`.
fn sum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    // No packet has words enough to overflow this.
    let mut sum: u32 = start + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn packet(message: &[u8]) -> Vec<u8> {
        wrap(message, socket("0.0.0.0:68"), socket("255.255.255.255:67")).unwrap()
    }

    #[test]
    fn what_was_wrapped_is_unwrapped() {
        for message in [&b""[..], b"x", b"hello", &[7; 1400]] {
            assert_eq!(unwrap(&packet(message), 67), Some(message));
        }
        assert_eq!(unwrap(&packet(b"x"), 68), None, "another port");
    }

    #[test]
    fn checksums_add_up() {
        let packet = wrap(b"odd", socket("10.0.0.1:68"), socket("10.0.0.2:67")).unwrap();
        assert_eq!(sum(0, &packet[..IP_HEADER]), 0xffff);
        let pseudo_header = sum(u32::from(UDP) + 11, &packet[12..20]);
        assert_eq!(sum(pseudo_header.into(), &packet[IP_HEADER..]), 0xffff);
    }

    #[test]
    fn padding_is_no_part_of_the_message() {
        let mut padded = packet(b"hello");
        padded.extend([0; 40]);
        assert_eq!(unwrap(&padded, 67), Some(&b"hello"[..]));
    }

    #[test]
    fn a_message_too_long_for_a_packet_is_none() {
        assert!(wrap(&vec![0; 65_507], socket("0.0.0.0:68"), socket("0.0.0.0:67")).is_some());
        for length in [65_508, 65_535, 70_000] {
            assert_eq!(wrap(&vec![0; length], socket("0.0.0.0:68"), socket("0.0.0.0:67")), None);
        }
    }

    #[test]
    fn no_packet_that_is_none_makes_it_panic() {
        let good = packet(b"hello");
        for length in 0..good.len() {
            let _ = unwrap(&good[..length], 67);
        }
        for (i, byte) in (0..28).flat_map(|i| (0..=255).map(move |byte| (i, byte))) {
            let mut bad = good.clone();
            bad[i] = byte;
            let _ = unwrap(&bad, 67);
        }
        let mut options = good.clone();
        options[0] = 0x4f;
        assert_eq!(unwrap(&options, 67), None, "a header longer than the packet");
        let mut other = good;
        other[0] = 0x65;
        assert_eq!(unwrap(&other, 67), None, "IPv6");
    }
}
