//! A network that this host has joined, and what of it only this host knows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use cni::{Attachment, NetworkName};
use host_local::{Holder, Store};
use overlay::{ADDRESSES, Block, Claimed, Conflict, Endpoint, HostId, Network, State, Subnet};
use tokio::time::Instant;

use crate::Error;
use crate::ingress::Behind;
use crate::view::NetworkView;

/// What is remembered of it.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// What plugins were told.
    pub(crate) state: Option<State>,
    /// The smallest MTU of the other hosts with blocks, if there are any; remembered until they change.
    #[allow(clippy::option_option, reason = "not known, and known that there is none, are two things")]
    pub(crate) smallest_mtu: Option<Option<u32>>,
    /// What other hosts were told.
    pub(crate) published: BTreeMap<Attachment, Endpoint>,
    /// The containers here behind ports that every host answers.
    pub(crate) behind: Behind,
    /// Since when the blocks without containers have none.
    pub(crate) empty_since: BTreeMap<Block, Instant>,
    /// A block that is about to be returned: nobody gets an address of it any more.
    pub(crate) returning: Option<Block>,
    /// The claimed addresses that containers have.
    pub(crate) used: BTreeSet<IpAddr>,
    /// When those that no container has yet were claimed.
    pub(crate) claimed_at: BTreeMap<IpAddr, Instant>,
}

/// The addresses that this host's containers have, with whose each is.
pub(crate) type Reservations = BTreeMap<IpAddr, Attachment>;

/// Those of a network.
pub(crate) fn reservations(network: &NetworkName) -> Result<Reservations, Error> {
    let holders = host_local::holders(Path::new(ADDRESSES), network)?;
    let attachment = |(address, holder)| match holder {
        Holder::Owner(owner) => {
            let (container, ifname) = (owner.container().clone(), owner.ifname()?.clone());
            Some((address, Attachment { network: network.clone(), container, ifname }))
        }
        Holder::Free | Holder::Empty | Holder::Unknown => None,
    };
    Ok(holders.into_iter().filter_map(attachment).collect())
}

/// Whether none of these addresses is reserved; asked with the lock that every plugin takes, after plugins were told to leave them alone.
pub(crate) fn are_free(network: &NetworkName, is_one: impl Fn(IpAddr) -> bool) -> Result<bool, Error> {
    let Some(store) = Store::open_existing(Path::new(ADDRESSES), network)? else { return Ok(true) };
    Ok(!store.addresses()?.into_iter().any(is_one))
}

/// Forgets what was reserved before the host was restarted.
pub(crate) fn catch_up(network: &NetworkName) -> Result<(), Error> {
    Store::open_existing(Path::new(ADDRESSES), network)?;
    Ok(())
}

impl Joined {
    /// What plugins are to be told.
    pub(crate) fn state(
        &self,
        host: &HostId,
        network: &Network,
        view: &NetworkView,
        mtu: u32,
        reserved: &Reservations,
    ) -> State {
        let blocks: Vec<_> = view.blocks_of(host).filter(|block| Some(*block) != self.returning).collect();
        let mut claimed = Vec::new();
        let mut excluded = Vec::new();
        for (address, block, claim) in view.addresses() {
            let claim = &claim.value;
            if claim.host == *host && claim.granted {
                let (container, interface) = (claim.container.clone(), claim.interface.clone());
                claimed.push(Claimed { address, container, interface });
            } else if claim.host != *host && blocks.contains(&block) {
                excluded.push(address);
            }
        }
        let conflicts = conflicts(host, network, view, &claimed, reserved);
        State { host: host.clone(), network: network.clone(), mtu, blocks, claimed, excluded, conflicts }
    }

    /// The blocks that etcd no longer knows as anybody's, although containers have their addresses.
    pub(crate) fn lost_blocks(
        &self,
        network: &Network,
        view: &NetworkView,
        reserved: &Reservations,
    ) -> BTreeSet<Block> {
        let claimed: BTreeSet<_> = view.addresses().map(|(address, ..)| address).collect();
        let block = |address: &IpAddr| network.subnets.iter().find_map(|subnet| subnet.block_of(*address));
        let lost = reserved.keys().filter(|address| !claimed.contains(*address)).filter_map(block);
        lost.filter(|block| view.owner_of(*block).is_none()).collect()
    }

    /// How many addresses are left in the host's blocks of a subnet.
    pub(crate) fn free(state: &State, subnet: &Subnet, reserved: &Reservations) -> u128 {
        let blocks: Vec<_> = state.blocks.iter().copied().filter(|block| subnet.has(*block)).collect();
        let capacity: u128 = blocks.iter().map(|block| subnet.capacity(*block)).sum();
        let within = |address: &&IpAddr| blocks.iter().any(|block| block.contains(**address));
        let excluded = state.excluded.iter().filter(within).count();
        capacity.saturating_sub((reserved.keys().filter(within).count() + excluded) as u128)
    }
}

/// Containers whose addresses are in blocks of other hosts, by block.
fn conflicts(
    host: &HostId,
    network: &Network,
    view: &NetworkView,
    claimed: &[Claimed],
    reserved: &Reservations,
) -> Vec<Conflict> {
    let mut conflicts: BTreeMap<Block, Conflict> = BTreeMap::new();
    for (address, attachment) in reserved {
        let Some(block) = network.subnets.iter().find_map(|subnet| subnet.block_of(*address)) else { continue };
        let owner = view.owner_of(block).map(|owner| &owner.value).filter(|owner| *owner != host);
        let Some(owner) = owner.filter(|_| !claimed.iter().any(|claim| claim.address == *address)) else { continue };
        let conflict =
            conflicts.entry(block).or_insert_with(|| Conflict { block, owner: owner.clone(), containers: Vec::new() });
        conflict.containers.push(format!("{}:{} ({address})", attachment.container, attachment.ifname));
    }
    conflicts.into_values().collect()
}
