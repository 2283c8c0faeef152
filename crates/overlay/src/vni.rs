use std::fmt;
use std::net::Ipv6Addr;

use netlink::Mac;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::HostId;

/// A VXLAN network identifier: 24 bits, not 0 (RFC 7348, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

/// A number that identifies no VXLAN network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no VXLAN network identifier: they go from 1 to 16777215")]
pub struct InvalidVni(pub u32);

impl Vni {
    /// The first that is given to a network: Docker gives those from 4096 on.
    pub const FIRST: Self = Self(4097);
    const LAST: u32 = 0xff_ffff;
    /// The last of all.
    pub(crate) const THE_LAST: Self = Self(Self::LAST);
    /// The one before.
    pub(crate) const BEFORE_LAST: Self = Self(Self::LAST - 1);

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The next one, unless this is the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::try_from(self.0 + 1).ok()
    }

    /// The name of the network's device on every host. It fits, whatever the number.
    #[must_use]
    pub fn device(self) -> String {
        format!("overlay{}", self.0)
    }

    /// The Ethernet address of a host's device, which every other host computes as well. It is locally administered (IEEE 802).
    #[must_use]
    pub fn mac_of(self, host: &HostId) -> Mac {
        let hash = Sha256::new().chain_update(host.as_str()).chain_update(self.0.to_be_bytes()).finalize();
        Mac([2, hash[0], hash[1], hash[2], hash[3], hash[4]])
    }

    /// An IPv6 subnet that hardly anybody else has (RFC 4193, section 3.2): its global identifier is a hash of the number and `text`.
    #[must_use]
    pub fn local_ipv6(self, text: &str) -> Ipv6Addr {
        let hash = Sha256::new().chain_update(text).chain_update(self.0.to_be_bytes()).finalize();
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..6].copy_from_slice(&hash[..5]);
        octets[6..8].copy_from_slice(&self.0.to_be_bytes()[2..]);
        octets.into()
    }
}

impl TryFrom<u32> for Vni {
    type Error = InvalidVni;

    fn try_from(number: u32) -> Result<Self, InvalidVni> {
        if (1..=Self::LAST).contains(&number) { Ok(Self(number)) } else { Err(InvalidVni(number)) }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_24_bits_are_an_identifier() {
        assert!(Vni::try_from(0).is_err() && Vni::try_from(1 << 24).is_err());
        assert_eq!(Vni::try_from(Vni::LAST).unwrap().next(), None);
        assert_eq!(Vni::try_from(Vni::LAST).unwrap().device().len(), 15);
    }

    #[test]
    fn every_host_has_an_address_of_its_own_in_every_network() {
        let [a, b] = ["a", "b"].map(|digit| HostId::parse(&HostId::EXAMPLE.replace('0', digit)).unwrap());
        let vni = Vni::FIRST;
        let macs = [vni.mac_of(&a), vni.mac_of(&b), vni.next().unwrap().mac_of(&a)];
        assert!(macs[0] != macs[1] && macs[0] != macs[2]);
        assert!(macs.iter().all(|mac| mac.is_unicast()));
        assert_eq!(macs[0], vni.mac_of(&a));
    }
}
