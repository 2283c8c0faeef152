use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// An Ethernet address, written `02:00:5e:00:53:01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A new address for a virtual link: random, unicast, locally administered (IEEE 802, the second bit of
    /// the first octet).
    ///
    /// # Errors
    /// When the kernel has no random numbers to give.
    pub fn random() -> crate::Result<Self> {
        let mut octets = [0; 6];
        getrandom::fill(&mut octets).map_err(crate::Error::Random)?;
        octets[0] = octets[0] & !1 | 2;
        Ok(Mac(octets))
    }

    /// Whether a link can own this address: not a group address and not all zero, or the kernel answers
    /// EADDRNOTAVAIL (`is_valid_ether_addr`, include/linux/etherdevice.h).
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// The IPv6 link-local address of a link with this address, as the kernel makes it by default (RFC 4291, appendix A).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

/// The text is not six hexadecimal octets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a MAC address: write six hexadecimal octets, as in 02:00:5e:00:53:01")]
pub struct InvalidMac {
    /// What was given.
    pub text: String,
}

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Accepts six two-digit octets separated by `:`, or by `-` as Go's `net.ParseMAC` does.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        parse(text).ok_or_else(|| InvalidMac { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Mac> {
    let separator = *text.as_bytes().get(2).filter(|byte| matches!(byte, b':' | b'-'))?;
    let mut octets = [0; 6];
    let mut parts = text.split(char::from(separator));
    for octet in &mut octets {
        let part =
            parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(octets))
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_addresses_differ_and_can_be_owned() {
        let (one, other) = (Mac::random().expect("random numbers"), Mac::random().expect("random numbers"));
        assert_ne!(one, other);
        assert!(one.is_unicast() && one.0[0] & 2 == 2, "{one}");
    }

    #[test]
    fn a_link_local_address_is_that_of_the_rfc() {
        let mac: Mac = "34:56:78:9a:bc:de".parse().expect("valid");
        assert_eq!(mac.link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn text_and_back() {
        let mac: Mac = "02:AB:00:00:0f:01".parse().expect("valid");
        assert_eq!(mac, Mac([2, 0xab, 0, 0, 0xf, 1]));
        assert_eq!(mac.to_string(), "02:ab:00:00:0f:01");
        assert_eq!("02-ab-00-00-0f-01".parse(), Ok(mac));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "02",
            "02:ab:00:00:0f",
            "02:ab:00:00:0f:01:02",
            "2:ab:00:00:0f:01",
            "02:ab:00-00:0f:01",
            "+2:ab:00:00:0f:01",
            "02:ab:00:00:0f:0g",
            "éé:00",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn group_and_zero_addresses_are_not_unicast() {
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_unicast());
        assert!(!Mac([1, 0, 0x5e, 0, 0, 1]).is_unicast());
        assert!(!Mac([0; 6]).is_unicast());
    }
}
