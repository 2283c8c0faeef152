//! Who owns what: blocks and addresses, as transactions decide.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use cni::{Attachment, NetworkName};
use etcd_client::{Txn, TxnOpResponse, TxnResponse};
use overlay::{Block, Claim, Endpoint, HostId, Key, Subnet};
use tokio::time::Instant;

use crate::Error;
use crate::agent::Agent;
use crate::etcd::{Etcd, put};
use crate::joined::{Joined, Reservations, are_free, reservations};
use crate::publication;
use crate::transactions;
use crate::view::{Change, Known};

/// How often a claim is tried that somebody else was faster at.
const ATTEMPTS: usize = 100;
/// For how long a spare block is kept.
const SPARE: Duration = Duration::from_secs(3600);
/// For how long a claimed address may be without a container, which is about to get it.
const UNUSED: Duration = Duration::from_secs(60);

/// What a transaction has read.
pub(crate) fn read_by(answer: &TxnResponse) -> impl Iterator<Item = Change> + use<> {
    let read = answer.op_responses().into_iter().filter_map(|response| match response {
        TxnOpResponse::Get(mut found) => Some(found.take_kvs()),
        _ => None,
    });
    read.flatten().map(put)
}

pub(crate) fn revision(answer: &TxnResponse) -> i64 {
    answer.header().map_or(0, etcd_client::ResponseHeader::revision)
}

impl Agent {
    /// etcd, if it can be reached.
    pub(crate) fn etcd(&mut self) -> Result<&mut Etcd, Error> {
        let reason = || Error::Unreachable(self.unreachable.clone().unwrap_or_default());
        self.etcd.as_mut().ok_or_else(reason)
    }

    /// A transaction, if etcd can be reached.
    pub(crate) async fn transact(&mut self, doing: &'static str, transaction: Txn) -> Result<TxnResponse, Error> {
        let outcome = self.etcd()?.transaction(doing, transaction).await;
        match &outcome {
            Err(error) if error.is_of_etcd() => self.lost(error),
            _ => self.obstacle("etcd", None),
        }
        outcome
    }

    /// Takes over what this agent has just written itself; the watch brings it as well, later.
    pub(crate) fn note<T: serde::Serialize>(&mut self, key: &Key, value: Option<&T>, revision: i64) {
        let value = value.map(|value| serde_json::to_vec(value).unwrap_or_default());
        let touched = self.view.note(Change { key: key.to_string().into_bytes(), value, revision });
        self.touch(touched);
    }

    /// Takes over what a transaction has read.
    pub(crate) fn note_read(&mut self, answer: &TxnResponse) {
        self.apply(&read_by(answer).collect::<Vec<_>>());
    }

    /// Gets this host a block of a subnet: the first in its own order that nobody owns.
    pub(crate) async fn claim_block(&mut self, name: &NetworkName, subnet: &Subnet) -> Result<Block, Error> {
        for _ in 0..ATTEMPTS {
            let (of_network, known) = self.view.network(name).ok_or_else(|| Error::NoNetwork(name.clone()))?;
            let free = subnet.blocks_for(&self.id, name).find(|block| of_network.owner_of(*block).is_none());
            let Some(block) = free else { return Err(full(name, subnet)) };
            let transaction = transactions::claim_block(name, known, block, &self.id);
            let answer = self.transact("claim a block", transaction).await?;
            self.note_read(&answer);
            if answer.succeeded() {
                let id = self.id.clone();
                self.note(&Key::Block(name.clone(), block), Some(&id), revision(&answer));
                return Ok(block);
            }
        }
        Err(Error::Contended(name.clone()))
    }

    /// Blocks that etcd has lost, as with a backup from before they were claimed: containers have their addresses.
    pub(crate) async fn restore_blocks(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<(), Error> {
        let (Some((of_network, known)), Some(joined)) = (self.view.network(name), self.joined.get(name)) else {
            return Ok(());
        };
        let lost = joined.lost_blocks(&known.value, of_network, reserved);
        for block in lost {
            let Some((_, known)) = self.view.network(name) else { return Ok(()) };
            let transaction = transactions::claim_block(name, known, block, &self.id);
            let answer = self.transact("claim a block again", transaction).await?;
            self.note_read(&answer);
            if answer.succeeded() {
                let id = self.id.clone();
                self.note(&Key::Block(name.clone(), block), Some(&id), revision(&answer));
                crate::log::say(&format!("network {name}: block {block} was lost in etcd, and is this host's again"));
            }
        }
        Ok(())
    }

    /// A network that etcd has lost, while containers have its addresses; `false` if none have, and it is gone.
    pub(crate) async fn restore(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<bool, Error> {
        let state = self.joined.get(name).and_then(|joined| joined.state.clone());
        let Some(state) = state.filter(|_| !reserved.is_empty()) else { return Ok(false) };
        let answer =
            self.transact("create a network again", transactions::restore_network(name, &state.network)).await?;
        if !answer.succeeded() {
            self.note_read(&answer);
            let there = self.view.network(name).map(|(_, known)| &known.value);
            if there == Some(&state.network) {
                // Another host was faster.
                return Ok(true);
            }
            return Err(Error::Refused(format!(
                "etcd has lost network {name}, of which {} addresses are in use here, and has something else in its place: remove that, or \
                 stop these containers",
                reserved.len()
            )));
        }
        self.note(&Key::Network(name.clone()), Some(&state.network), revision(&answer));
        crate::log::say(&format!("network {name} was lost in etcd, and is there again"));
        Ok(true)
    }

    /// What a network needs from time to time: blocks neither too few nor too many, claimed
    /// addresses returned.
    pub(crate) async fn tidy(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<(), Error> {
        if self.etcd.is_none() {
            return Ok(());
        }
        self.answer_claims(name).await?;
        self.return_addresses(name, reserved).await?;
        self.grow_in_time(name, reserved).await?;
        self.return_spare(name, reserved).await
    }

    /// Tells others which containers are here.
    pub(crate) async fn publish(
        &mut self,
        name: &NetworkName,
        wanted: BTreeMap<Attachment, Endpoint>,
    ) -> Result<(), Error> {
        let (Some(etcd), Some(lease), Some(joined)) = (&mut self.etcd, self.lease, self.joined.get_mut(name)) else {
            return Ok(());
        };
        // What is left of an earlier life, of which this agent knows nothing else.
        let of_view = self.view.endpoints_of(name, &self.id).into_iter();
        joined.published.extend(of_view.filter(|(attachment, _)| !wanted.contains_key(attachment)));
        if joined.published != wanted {
            publication::publish(etcd, lease.id, &self.id, &joined.published, &wanted).await?;
            joined.published = wanted;
        }
        Ok(())
    }

    /// A block more before those there are full.
    async fn grow_in_time(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<(), Error> {
        let Some(state) = self.joined.get(name).and_then(|joined| joined.state.clone()) else { return Ok(()) };
        for subnet in &state.network.subnets {
            let Some(block) = state.blocks.iter().find(|block| subnet.has(**block)) else { continue };
            if Joined::free(&state, subnet, reserved) * 4 <= subnet.capacity(*block) {
                match self.claim_block(name, subnet).await {
                    // Those there are have to do; an ADD that needs one says so.
                    Err(Error::Refused(_)) => {}
                    outcome => drop(outcome?),
                }
                self.tell_plugins(name, reserved)?;
                self.program(name)?;
            }
        }
        Ok(())
    }

    /// A block less, if one was empty for long and the others have room.
    async fn return_spare(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<(), Error> {
        let now = Instant::now();
        let Some(joined) = self.joined.get_mut(name) else { return Ok(()) };
        let Some(state) = joined.state.clone() else { return Ok(()) };
        let is_empty = |block: &Block| !reserved.keys().any(|address| block.contains(*address));
        joined.empty_since.retain(|block, _| state.blocks.contains(block) && is_empty(block));
        for block in state.blocks.iter().copied().filter(is_empty) {
            joined.empty_since.entry(block).or_insert(now);
        }
        let spare_after = self.configuration.spare_after.unwrap_or(SPARE);
        let spare = joined.empty_since.iter().find(|(block, since)| {
            let Some(subnet) = state.network.subnets.iter().find(|subnet| subnet.has(**block)) else { return false };
            let left = Joined::free(&state, subnet, reserved).saturating_sub(subnet.capacity(**block));
            now.duration_since(**since) >= spare_after && left * 2 >= subnet.capacity(**block)
        });
        let Some(block) = spare.map(|(block, _)| *block) else { return Ok(()) };
        self.return_block(name, block).await
    }

    /// Plugins are told first; only if none was faster, the block is returned.
    async fn return_block(&mut self, name: &NetworkName, block: Block) -> Result<(), Error> {
        let returning = |agent: &mut Self, block| agent.joined.get_mut(name).map(|joined| joined.returning = block);
        returning(self, Some(block));
        self.tell_plugins(name, &reservations(name)?)?;
        if are_free(name, |address| block.contains(address))?
            && let Some(owner) = self.view.networks.get(name).and_then(|view| view.owner_of(block)).cloned()
        {
            let answer = self.transact("return a block", transactions::return_block(name, block, &owner)).await?;
            if answer.succeeded() {
                self.note(&Key::Block(name.clone(), block), None::<&HostId>, revision(&answer));
            }
        }
        returning(self, None);
        self.tell_plugins(name, &reservations(name)?)?;
        self.program(name)
    }

    /// Addresses of this host's blocks that other hosts have claimed: they get those that no container here has. Plugins were told
    /// to leave them alone before it is looked whether one has.
    async fn answer_claims(&mut self, name: &NetworkName) -> Result<(), Error> {
        let Some((of_network, _)) = self.view.network(name) else { return Ok(()) };
        let is_ours = |block| of_network.owner_of(block).is_some_and(|owner| owner.value == self.id);
        let open = of_network
            .addresses()
            .filter(|(_, block, claim)| !claim.value.granted && claim.value.host != self.id && is_ours(*block));
        let open: Vec<_> = open.map(|(address, block, claim)| (address, block, claim.clone())).collect();
        for (address, block, claim) in open {
            let key = Key::Address(name.clone(), block, address);
            let granted = are_free(name, |reserved| reserved == address)?;
            let answer = self.transact("answer a claim", transactions::answer_claim(&key, &claim, granted)).await?;
            if answer.succeeded() {
                let answered = granted.then_some(Claim { granted, ..claim.value });
                self.note(&key, answered.as_ref(), revision(&answer));
                self.program(name)?;
            }
        }
        Ok(())
    }

    /// Claimed addresses whose containers are gone.
    async fn return_addresses(&mut self, name: &NetworkName, reserved: &Reservations) -> Result<(), Error> {
        let now = Instant::now();
        let (Some(joined), Some(of_network)) = (self.joined.get_mut(name), self.view.networks.get(name)) else {
            return Ok(());
        };
        let own = of_network.addresses_of(&self.id);
        let own: Vec<_> = own.map(|(address, block, claim)| (address, block, claim.clone())).collect();
        let known: BTreeSet<IpAddr> = own.iter().map(|(address, ..)| *address).collect();
        joined.used.retain(|address| known.contains(address));
        joined.claimed_at.retain(|address, _| known.contains(address));
        let mut unused = Vec::new();
        for (address, block, claim) in own {
            if reserved.contains_key(&address) {
                joined.used.insert(address);
            } else {
                let since = *joined.claimed_at.entry(address).or_insert(now);
                if joined.used.contains(&address) || now.duration_since(since) >= UNUSED {
                    unused.push((address, block, claim));
                }
            }
        }
        for (address, block, claim) in unused {
            self.return_address(name, block, address, &claim).await?;
        }
        Ok(())
    }

    async fn return_address(
        &mut self,
        name: &NetworkName,
        block: Block,
        address: IpAddr,
        claim: &Known<Claim>,
    ) -> Result<(), Error> {
        let key = Key::Address(name.clone(), block, address);
        let answer = self.transact("return an address", transactions::answer_claim(&key, claim, false)).await?;
        if answer.succeeded() {
            self.note(&key, None::<&Claim>, revision(&answer));
        }
        let reserved = reservations(name)?;
        self.tell_plugins(name, &reserved)
    }

    /// Blocks of hosts that have been silent for longer than all hosts agree on. Silence counts only while etcd could be heard, and only
    /// after everybody had time to speak again. Of all hosts that have noticed, one takes them back.
    pub(crate) async fn reclaim(&mut self) {
        let now = Instant::now();
        let alive = &self.view.alive;
        self.silent_since.retain(|host, _| !alive.contains(host) && self.view.hosts.contains_key(host));
        if !self.has_heard_for_long() {
            self.silent_since.clear();
            return;
        }
        for host in self.view.hosts.keys().filter(|host| !alive.contains(*host)) {
            self.silent_since.entry(host.clone()).or_insert(now);
        }
        let Some(after) = self.cluster().reclaim_after else { return };
        let after = Duration::from_secs(after.into());
        let dead = self.silent_since.iter().filter(|(_, since)| now.duration_since(**since) >= after);
        let dead: Vec<_> = dead.map(|(host, _)| host).filter(|host| self.follows(host)).cloned().collect();
        for host in dead {
            match self.remove_host(&host).await {
                Ok(()) => {
                    crate::log::say(&format!("host {host} was silent for {} s: its blocks are free", after.as_secs()));
                }
                Err(error) => self.lost(&error),
            }
        }
    }

    /// Whether this host is the next after another one in a circle of those that live.
    fn follows(&self, host: &HostId) -> bool {
        let alive = &self.view.alive;
        alive.range(host..).next().or_else(|| alive.first()) == Some(&self.id)
    }
}

fn full(name: &NetworkName, subnet: &Subnet) -> Error {
    Error::Refused(format!(
        "network {name} has no block of {} left for this host: remove hosts that are gone (\"ferrocni overlay host ls\"), or create a network \
         with a larger subnet",
        subnet.network()
    ))
}
