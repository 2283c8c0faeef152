use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cni::cidr;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// Addresses that belong to one host: an aligned part of a network's subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Block(IpNetwork);

impl Block {
    /// Takes a subnet without host bits.
    ///
    /// # Errors
    /// Says which bits are too many.
    pub fn new(network: IpNetwork) -> Result<Self, String> {
        if network.ip() == network.network() {
            Ok(Self(network))
        } else {
            Err(format!("{network} has host bits set: {}/{} has none", network.network(), network.prefix()))
        }
    }

    /// The subnet.
    #[must_use]
    pub fn network(self) -> IpNetwork {
        self.0
    }

    /// The first address, which no container gets: that of the owner's device.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.0.network()
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// Whether the address is one of these.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.0.is_ipv4()
    }

    /// As in a key of etcd, where a slash separates other things: `10.128.3.64-26`.
    #[must_use]
    pub fn in_key(self) -> String {
        format!("{}-{}", self.0.network(), self.0.prefix())
    }

    /// The inverse of [`Block::in_key`].
    ///
    /// # Errors
    /// Says what is wrong. Each block is written in one way only.
    pub fn from_key(text: &str) -> Result<Self, String> {
        let block = Self::new(cidr::parse(&text.replacen('-', "/", 1))?)?;
        if block.in_key() == text { Ok(block) } else { Err(format!("{block} is written {}", block.in_key())) }
    }
}

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(cidr::parse(&text)?)
    }
}

impl From<Block> for String {
    fn from(block: Block) -> String {
        block.0.to_string()
    }
}

impl fmt::Display for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The inverse of [`number`]; the last address of the family for a number that is too large.
pub(crate) fn address(number: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into()
    } else {
        Ipv6Addr::from(number).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_written_in_one_way() {
        for text in ["10.128.3.64-26", "fd00::1:0-112"] {
            assert_eq!(Block::from_key(text).unwrap().in_key(), text);
        }
        for wrong in ["10.128.3.65-26", "10.128.3.64", "10.128.3.64-33", "10.128.3.64-026", "fd00:0::1:0-112", "-", ""]
        {
            assert!(Block::from_key(wrong).is_err(), "{wrong}");
        }
    }
}
