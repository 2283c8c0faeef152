//! ferrocni's ruleset: a constant skeleton, and elements that come and go with containers.
//!
//! Every element carries the label of the attachment it belongs to as its comment, so the ruleset itself is
//! the record of who has what, and `nft list table inet ferrocni` shows it.
//!
//! In the steady state inserting is a look at what the elements need and one transaction of elements alone. Only if something is
//! missing does the transaction bring the skeleton or a subnet's chain along; what it contains follows from a look at
//! the ruleset, so it is conditional on the ruleset's generation, and repeated if another program was faster.
//!
//! # What it costs
//! A packet costs the same with one container and with thousands. So does a change of published ports,
//! members and MAC addresses, which live in sets and in maps to values. Maps to chains are dearer: when one
//! gets a new element, the kernel follows all of them from the base chains to rule out loops
//! (`nft_setelem_validate`), 0.1 µs for each container in `masquerade` and `hairpin` maps. In return it counts
//! who leads to a subnet's chain, so that the last one out can take it along without any record of ours.
//!
//! # What nft makes of it
//! `nft list ruleset` shows everything, and what it shows can be loaded again, with two exceptions of nft's
//! own (seen with 1.0.6): it shows comments of more than 128 bytes, and names that end in `*`, but does not
//! take them back.

mod chains;
mod check;
mod element;
mod health;
mod holder;
mod insert;
mod publishing;
mod queue;
mod remove;
mod restore;
mod sets;
mod skeleton;

use std::fmt;

use ipnetwork::IpNetwork;
use nfnetlink::{Batch, subsystem};

pub use chains::bridge_of_vlan;
pub use check::Difference;
pub use element::{Confinement, Element, Part};
pub use holder::{Claim, Holder};
pub use ip::Protocol;

pub(crate) use chains::{LOOPBACK4, LOOPBACK6};
pub use skeleton::LOOPBACK_ANSWER;
pub(crate) use skeleton::{FOR_THIS_HOST, LAYOUT};

use queue::Queue;

use crate::connection::Connection;
use crate::expression::{Version, address_from};
use crate::object::Held;
use crate::uapi::comment;
use crate::{Error, Family, Result, Table};

/// The table of everything that concerns IP.
pub const INET: Table<'static> = Table { family: Family::Inet, name: "ferrocni" };
/// The table of everything that concerns bridged frames; it exists once it was needed.
pub const BRIDGE: Table<'static> = Table { family: Family::Bridge, name: "ferrocni" };

/// The comment of elements that belong to a chain and not to an attachment.
const SHARED_LABEL: &str = "ferrocni";
/// How often a change is prepared anew because the ruleset changed meanwhile. Each failure means that
/// another program's change succeeded, so a hundred plugins at once need a hundred at most.
pub(crate) const ATTEMPTS: usize = 1000;
/// How often a conditional change is prepared anew although the kernel found the ruleset unchanged: while
/// a commit is under way, a reader can see the new generation's number and the old one's objects
/// (net/netfilter/nf_tables_api.c, `nf_tables_commit`). More often than this it is no coincidence.
const STALE: usize = 10;

/// ferrocni's ruleset in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Ruleset {
    connection: Connection,
}

/// An element of ours, with its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Set, key and value, in words.
    pub description: String,
    /// The holder's label.
    pub label: String,
}

impl fmt::Display for Holding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.description, self.label)
    }
}

impl Ruleset {
    /// Opens a socket in the calling thread's network namespace. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel has no netfilter netlink.
    pub fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open()? })
    }

    /// Whether the kernel can do all that [`Ruleset::insert`] may need, without changing anything: a table of
    /// ours tells, and where there is none the kernel rehearses making one.
    ///
    /// # Errors
    /// [`Error::Netlink`] if it cannot, or if the privilege (`CAP_NET_ADMIN`) is missing; [`Error::Foreign`]
    /// or [`Error::Owned`] if there are tables of our name that do not work.
    pub fn probe() -> Result<()> {
        let mut ruleset = Self::open()?;
        ruleset.connection.generation()?;
        let not_needed_yet = |difference: &Difference| *difference == Difference::Table { table: BRIDGE };
        let damage = ruleset.damage(&[INET, BRIDGE], &[])?;
        // What an ADD mends is no reason for it to fail.
        if damage.iter().all(not_needed_yet) { Ok(()) } else { ruleset.rehearse() }
    }

    fn rehearse(&mut self) -> Result<()> {
        let mut batch = Batch::new(subsystem::NFTABLES);
        skeleton::create(INET).into_iter().for_each(|message| batch.push(message));
        self.connection.rehearse(batch).map_err(|source| skeleton::refused(INET, source))
    }

    /// What is held in these parts, read from the kernel in full.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; a missing table holds nothing.
    pub fn holdings(&mut self, parts: &[Part]) -> Result<Vec<Holding>> {
        let mut all = Vec::new();
        for set in sets::of(parts) {
            for queue in Queue::read_all(&mut self.connection, set)? {
                let holding =
                    |held: &Held| Holding { description: element::describe(set, held), label: held.label.clone() };
                all.extend(queue.all().map(holding));
            }
        }
        Ok(all)
    }
}

impl Ruleset {
    /// The labels that hold an element's key or wait for it, whatever their data.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn holders(&mut self, element: &Element) -> Result<Vec<String>> {
        let places: Vec<_> = element::places(std::slice::from_ref(element)).collect();
        let queues = Queue::read(&mut self.connection, &places)?;
        Ok(queues.iter().flat_map(Queue::all).map(|held| held.label.clone()).collect())
    }

    /// The addresses of the [`Element::Member`]s all of whose labels `pick` picks, each with the prefix length of a host.
    /// Reads the sets in full.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; a missing table has no members.
    pub fn members(&mut self, mut pick: impl FnMut(&str) -> bool) -> Result<Vec<IpNetwork>> {
        let mut addresses = Vec::new();
        for set in [sets::members(Version::V4), sets::members(Version::V6)] {
            let queues = Queue::read_all(&mut self.connection, set)?.into_iter();
            let picked = queues.filter(|queue| queue.all().all(|held| pick(&held.label)));
            addresses.extend(picked.filter_map(|queue| address_from(queue.key())).map(IpNetwork::from));
        }
        Ok(addresses)
    }
}

/// Whether an object is missing, or there when it should not be.
fn conflicts(error: &nfnetlink::Error) -> bool {
    error.is_not_found() || error.is_exists() || error.is_busy()
}

/// Fails unless the label can be an element's comment that nft lists on one line.
fn check_label(label: &str) -> Result<()> {
    if label.is_empty() || label.len() > comment::MAX_LENGTH || label.contains(['\0', '\n']) {
        return Err(Error::Label(label.len()));
    }
    Ok(())
}
