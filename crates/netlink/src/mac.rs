use std::fmt;
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
}

/// A link's hardware address, of whatever length: 6 octets for Ethernet, 20 for InfiniBand, none for many tunnels.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HardwareAddress(pub Vec<u8>);

impl HardwareAddress {
    /// The address as one of Ethernet, if it has that length.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.0.as_slice().try_into().ok().map(Mac)
    }
}

/// The text is not six hexadecimal octets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a MAC address: write six hexadecimal octets, as in 02:00:5e:00:53:01")]
pub struct InvalidMac {
    /// The text as it was given.
    pub text: String,
}

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Accepts six octets in the forms of Go's `net.ParseMAC`: `02:00:5e:00:53:01`, `02-00-5e-00-53-01`, `0200.5e00.5301`.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let octets = octets(text).and_then(|octets| octets.try_into().ok());
        octets.map(Mac).ok_or_else(|| InvalidMac { text: text.to_owned() })
    }
}

impl FromStr for HardwareAddress {
    type Err = InvalidMac;

    /// Accepts what [`Mac`] does, and as Go also 8 octets (EUI-64) and 20 (IP over InfiniBand, RFC 4391).
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let octets = octets(text).filter(|octets| matches!(octets.len(), 6 | 8 | 20));
        octets.map(HardwareAddress).ok_or_else(|| InvalidMac { text: text.to_owned() })
    }
}

/// Octets in hexadecimal: one by one between `:` or `-`, or two by two between dots.
fn octets(text: &str) -> Option<Vec<u8>> {
    let (separator, digits) = match (text.as_bytes().get(2)?, text.as_bytes().get(4)?) {
        (separator @ (b':' | b'-'), _) => (char::from(*separator), 2),
        (_, b'.') => ('.', 4),
        _ => return None,
    };
    let mut octets = Vec::new();
    for group in text.split(separator) {
        if group.len() != digits || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for octet in group.as_bytes().chunks(2) {
            octets.push(u8::from_str_radix(std::str::from_utf8(octet).ok()?, 16).ok()?);
        }
    }
    Some(octets)
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, octet) in self.0.iter().enumerate() {
            write!(formatter, "{}{octet:02x}", if position == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
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
    fn text_and_back() {
        let mac: Mac = "02:AB:00:00:0f:01".parse().expect("valid");
        assert_eq!(mac, Mac([2, 0xab, 0, 0, 0xf, 1]));
        assert_eq!(mac.to_string(), "02:ab:00:00:0f:01");
        assert_eq!("02-ab-00-00-0f-01".parse(), Ok(mac));
        assert_eq!("02ab.0000.0f01".parse(), Ok(mac));
    }

    #[test]
    fn hardware_addresses_are_as_long_as_their_links_need() {
        let text = "80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:a1:b2:c3";
        let infiniband: HardwareAddress = text.to_uppercase().parse().expect("valid");
        assert_eq!((infiniband.0.len(), infiniband.to_string().as_str(), infiniband.mac()), (20, text, None));
        let ethernet: HardwareAddress = "02:00:5e:00:53:01".parse().expect("valid");
        assert_eq!(ethernet.mac(), Some(Mac([2, 0, 0x5e, 0, 0x53, 1])));
        assert_eq!(HardwareAddress::default().to_string(), "");
        assert!("02:00:5e:00:53".parse::<HardwareAddress>().is_err());
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
            "02ab.0000",
            "02ab.0000.0f",
            "02ab:0000:0f01",
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
