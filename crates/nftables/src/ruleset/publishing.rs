//! Who publishes ports: what has to be known before the host's loopback addresses lose their way to containers.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::chains::{MASQUERADE_PUBLISHED, OnDemand};
use super::element::network;
use super::health::rules_of;
use super::queue::Queue;
use super::{INET, Ruleset, sets};
use crate::Result;
use crate::expression::{Version, address_from};

impl Ruleset {
    /// Whether a container in one of these subnets may have published ports that are masqueraded: a chain of the subnet's,
    /// which goes with the last one, tells without a search. One that has all connections masqueraded counts for every subnet.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn publishes_in(&mut self, subnets: impl IntoIterator<Item = IpNetwork>) -> Result<bool> {
        for subnet in subnets {
            if self.connection.chain(INET, &OnDemand::Hairpin(network(subnet)).name())?.is_some() {
                return Ok(true);
            }
        }
        let shared = self.connection.chain(INET, MASQUERADE_PUBLISHED)?;
        let rules = rules_of(INET, MASQUERADE_PUBLISHED);
        Ok(shared.is_some_and(|chain| usize::try_from(chain.uses).is_ok_and(|uses| uses > rules)))
    }

    /// The addresses whose published ports are masqueraded for a label that `pick` picks. Reads the maps in full.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses; a missing table has none.
    pub fn publishing(&mut self, mut pick: impl FnMut(&str) -> bool) -> Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for version in Version::BOTH {
            let queues = Queue::read_all(&mut self.connection, sets::hairpin(version))?.into_iter();
            let picked = queues.filter(|queue| queue.all().any(|held| pick(&held.label)));
            addresses.extend(picked.filter_map(|queue| address_from(queue.key())));
        }
        Ok(addresses)
    }
}
