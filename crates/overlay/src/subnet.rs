use cni::{NetworkName, cidr};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::HostId;
use crate::block::{Block, address, number};

/// As many blocks has a network, unless they would be too small.
const BLOCKS: u8 = 10; // bits
/// The smallest blocks, by their prefix lengths: six addresses for containers.
const LONGEST_V4: u8 = 29;
const LONGEST_V6: u8 = 125;
/// IPv6 has enough addresses for blocks of 65,536 of them.
const USUAL_V6: u8 = 112;
/// The largest subnet; a shorter prefix is a mistake.
const SHORTEST: u8 = 8;

/// A network's subnet, which is one for containers, and comes to hosts in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Subnet {
    network: IpNetwork,
    block_length: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(with = "cidr")]
    subnet: IpNetwork,
    block_length: u8,
}

impl Subnet {
    /// A subnet with blocks of the usual size.
    ///
    /// # Errors
    /// As [`Subnet::with_blocks`].
    pub fn new(network: IpNetwork) -> Result<Self, String> {
        let length = network.prefix().saturating_add(BLOCKS);
        let length = if network.is_ipv4() { length.min(LONGEST_V4) } else { length.clamp(USUAL_V6, LONGEST_V6) };
        Self::with_blocks(network, length)
    }

    /// A subnet with blocks of that prefix length.
    ///
    /// # Errors
    /// Says what is wrong: host bits, a subnet that is too large or too small, blocks that do not fit.
    pub fn with_blocks(network: IpNetwork, block_length: u8) -> Result<Self, String> {
        Block::new(network)?;
        let longest = if network.is_ipv4() { LONGEST_V4 } else { LONGEST_V6 };
        if network.prefix() < SHORTEST || network.prefix() >= longest {
            return Err(format!("subnet {network} has to have a prefix length of {SHORTEST} to {}", longest - 1));
        }
        if network.ip().is_multicast() || network.ip().is_loopback() || network.ip().is_unspecified() {
            return Err(format!("subnet {network} has no addresses for containers"));
        }
        if block_length < network.prefix() || block_length > longest {
            let shortest = network.prefix();
            return Err(format!("blocks of subnet {network} have to have a prefix length of {shortest} to {longest}"));
        }
        Ok(Self { network, block_length })
    }

    /// The subnet.
    #[must_use]
    pub fn network(&self) -> IpNetwork {
        self.network
    }

    /// The subnet as one large block, which is how its key is written.
    ///
    /// # Errors
    /// None for a subnet that was read: it has no host bits.
    pub fn whole(&self) -> Result<Block, String> {
        Block::new(self.network)
    }

    /// The prefix length of its blocks.
    #[must_use]
    pub fn block_length(&self) -> u8 {
        self.block_length
    }

    /// IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.network.is_ipv4()
    }

    /// The gateway's address, the same for every container: it is on the host's end of each one's link.
    #[must_use]
    pub fn gateway(&self) -> std::net::IpAddr {
        self.at(1)
    }

    fn at(&self, offset: u128) -> std::net::IpAddr {
        address(number(self.network.network()) + offset, self.is_ipv4())
    }

    /// How many blocks it has.
    #[must_use]
    pub fn count(&self) -> u128 {
        1 << (self.block_length - self.network.prefix())
    }

    /// Whether this is one of its blocks.
    #[must_use]
    pub fn has(&self, block: Block) -> bool {
        let network = block.network();
        network.is_ipv4() == self.is_ipv4()
            && network.prefix() == self.block_length
            && self.network.contains(network.network())
    }

    /// The block that an address is in.
    #[must_use]
    pub fn block_of(&self, of: std::net::IpAddr) -> Option<Block> {
        if !self.network.contains(of) {
            return None;
        }
        let size = self.block_size();
        let first = address(number(of) / size * size, self.is_ipv4());
        IpNetwork::new(first, self.block_length).ok().and_then(|network| Block::new(network).ok())
    }

    /// The blocks in the order in which a host tries them: from a place of its own, so that two hosts seldom want the same one.
    pub fn blocks_for(&self, host: &HostId, network: &NetworkName) -> impl Iterator<Item = Block> {
        let hash = Sha256::new().chain_update(host.as_str()).chain_update(network.as_str());
        let hash = hash.chain_update(self.network.to_string()).finalize();
        let start = hash.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let (subnet, count) = (*self, self.count());
        (0..count).filter_map(move |index| subnet.block((start % count + index) % count))
    }

    fn block(&self, index: u128) -> Option<Block> {
        let network = IpNetwork::new(self.at(index * self.block_size()), self.block_length).ok()?;
        Block::new(network).ok()
    }

    fn block_size(&self) -> u128 {
        let bits = if self.is_ipv4() { 32 } else { 128 };
        1 << (bits - self.block_length)
    }

    /// The first and the last address of a block that a container can have: not the device's, and not those which a subnet has for
    /// itself (the gateway, the broadcast address).
    #[must_use]
    pub fn usable(&self, block: Block) -> (std::net::IpAddr, std::net::IpAddr) {
        let reserved_first = if block.first() == self.network.network() { 2 } else { 1 };
        let reserved_last = u128::from(self.is_ipv4() && block.last() == self.network.broadcast());
        let first = address(number(block.first()) + reserved_first, self.is_ipv4());
        (first, address(number(block.last()) - reserved_last, self.is_ipv4()))
    }

    /// How many containers a block has room for.
    #[must_use]
    pub fn capacity(&self, block: Block) -> u128 {
        let (first, last) = self.usable(block);
        number(last) - number(first) + 1
    }

    /// Whether an address is one that a container can have, in whatever block.
    #[must_use]
    pub fn offers(&self, of: std::net::IpAddr) -> bool {
        let Some(block) = self.block_of(of) else { return false };
        let (first, last) = self.usable(block);
        (number(first)..=number(last)).contains(&number(of))
    }

    /// Whether the two have addresses in common.
    #[must_use]
    pub fn overlaps(&self, other: IpNetwork) -> bool {
        self.network.contains(other.network()) || other.contains(self.network.network())
    }
}

impl TryFrom<Written> for Subnet {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        Self::with_blocks(written.subnet, written.block_length)
    }
}

impl From<Subnet> for Written {
    fn from(subnet: Subnet) -> Self {
        Self { subnet: subnet.network, block_length: subnet.block_length }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn subnet(text: &str) -> Subnet {
        Subnet::new(text.parse().unwrap()).unwrap()
    }

    fn block(text: &str) -> Block {
        Block::new(text.parse().unwrap()).unwrap()
    }

    fn host(digit: char) -> HostId {
        HostId::parse(&HostId::EXAMPLE.replace('0', &digit.to_string())).unwrap()
    }

    #[test]
    fn a_subnet_comes_in_a_thousand_blocks_unless_they_were_too_small() {
        let usual = |text| subnet(text).block_length();
        assert_eq!([usual("10.128.0.0/16"), usual("10.1.2.0/24"), usual("10.0.0.0/8")], [26, 29, 18]);
        assert_eq!([usual("fd00::/64"), usual("fd00::/112"), usual("fd00::/120")], [112, 122, 125]);
        assert_eq!((subnet("10.128.0.0/16").count(), subnet("10.1.2.0/24").count()), (1024, 32));
    }

    #[test]
    fn what_cannot_be_a_subnet_is_refused() {
        for wrong in ["10.1.2.3/24", "0.0.0.0/0", "10.1.2.0/29", "224.0.0.0/8", "127.0.0.0/8", "::/8", "fd00::/125"] {
            assert!(Subnet::new(wrong.parse().unwrap()).is_err(), "{wrong}");
        }
        let network = "10.128.0.0/16".parse().unwrap();
        assert!(Subnet::with_blocks(network, 15).is_err() && Subnet::with_blocks(network, 30).is_err());
        let json = r#"{"subnet": "10.128.0.0/16", "blockLength": 200}"#;
        assert!(serde_json::from_str::<Subnet>(json).is_err());
    }

    #[test]
    fn a_host_tries_every_block_once_and_two_hosts_begin_elsewhere() {
        let (subnet, network) = (subnet("10.1.2.0/24"), NetworkName::new("n").unwrap());
        let of = |digit| subnet.blocks_for(&host(digit), &network).collect::<Vec<_>>();
        let (a, b) = (of('a'), of('b'));
        assert_eq!(a.iter().collect::<BTreeSet<_>>().len(), 32);
        assert_ne!(a[0], b[0]);
        assert!(a.iter().all(|block| subnet.has(*block)));
    }

    #[test]
    fn the_largest_subnet_costs_nothing() {
        let subnet = subnet("fd00::/8");
        assert!(subnet.blocks_for(&host('a'), &NetworkName::new("n").unwrap()).take(3).all(|block| subnet.has(block)));
    }

    #[test]
    fn no_container_gets_an_address_that_has_another_use() {
        let subnet = subnet("10.1.2.0/24");
        let usable = |text| {
            let (first, last) = subnet.usable(block(text));
            format!("{first} {last} {}", subnet.capacity(block(text)))
        };
        assert_eq!(usable("10.1.2.0/29"), "10.1.2.2 10.1.2.7 6");
        assert_eq!(usable("10.1.2.8/29"), "10.1.2.9 10.1.2.15 7");
        assert_eq!(usable("10.1.2.248/29"), "10.1.2.249 10.1.2.254 6");
        let offered = |text: &str| subnet.offers(text.parse().unwrap());
        assert!(offered("10.1.2.9") && offered("10.1.2.254"));
        for taken in ["10.1.2.0", "10.1.2.1", "10.1.2.8", "10.1.2.255", "10.1.3.9", "fd00::9"] {
            assert!(!offered(taken), "{taken}");
        }
    }

    #[test]
    fn a_block_of_another_subnet_or_size_is_none_of_these() {
        let subnet = subnet("10.1.2.0/24");
        assert!(subnet.has(block("10.1.2.8/29")));
        for other in ["10.1.3.8/29", "10.1.2.0/28", "10.1.2.8/30", "10.0.0.0/8", "fd00::/112"] {
            assert!(!subnet.has(block(other)), "{other}");
        }
        assert_eq!(subnet.block_of("10.1.2.13".parse().unwrap()), Some(block("10.1.2.8/29")));
        assert_eq!(subnet.block_of("10.1.3.13".parse().unwrap()), None);
    }
}
