//! Taking elements out.
//!
//! Deleting is dear: the kernel waits until no packet can see the elements any more. So there is one
//! transaction at most, and none if there is nothing of ours.

use std::collections::{BTreeMap, BTreeSet};

use nfnetlink::{Batch, Message, subsystem};

use super::chains::{bridge_of, is_on_demand};
use super::element::{Element, Part, places};
use super::holder::Claim;
use super::queue::Queue;
use super::sets::{self, ISOLATED_BRIDGES};
use super::{ATTEMPTS, BRIDGE, INET, Ruleset, STALE, conflicts};
use crate::expression::interface_name;
use crate::object::{Data, Held, del_chain, del_element, del_table};
use crate::{Error, Result, Table};

/// An on-demand chain has fewer rules than this, unless some were added.
const FEW_RULES: u32 = 16;

impl Ruleset {
    /// Removes our tables with everything in them, also what administrators have added; returns those that there were.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn remove_tables(&mut self) -> Result<Vec<Table<'static>>> {
        let mut removed = Vec::new();
        for table in [INET, BRIDGE] {
            let mut batch = Batch::new(subsystem::NFTABLES);
            batch.push(del_table(table));
            match self.connection.commit(batch) {
                Ok(()) => removed.push(table),
                Err(error) if error.is_not_found() => {}
                Err(source) => return Err(Error::Netlink { doing: format!("remove nftables table {table}"), source }),
            }
        }
        Ok(removed)
    }

    /// Removes those of `elements` that `label` holds or waits for, whatever their data, and returns how many
    /// entries of sets that were. Who waits for what `label` held takes it over. A subnet's or bridge's chain goes with
    /// the last element that leads to it.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; nothing has changed then. Elements that are absent, held by
    /// others, or such that [`Ruleset::insert`] would have refused them, and a missing table, are not errors.
    pub fn remove(&mut self, label: &str, elements: &[Element]) -> Result<usize> {
        let places: Vec<_> = places(elements).collect();
        self.remove_from(|ruleset| Queue::read(&mut ruleset.connection, &places), |holder| holder == label)
    }

    /// Removes what is claimed, as far as those hold it or wait for it who claim it, whatever its data, in one transaction. Returns how
    /// many entries of sets that were.
    ///
    /// # Errors
    /// As [`Ruleset::remove`].
    pub fn remove_all(&mut self, claims: &[Claim]) -> Result<usize> {
        let mut known = BTreeSet::new();
        let all = claims.iter().flat_map(|claim| places(&claim.elements));
        let places: Vec<_> = all.filter(|(set, key)| known.insert((set.name, key.clone()))).collect();
        let is_claimant = |holder: &str| claims.iter().any(|claim| claim.label == holder);
        self.remove_from(|ruleset| Queue::read(&mut ruleset.connection, &places), is_claimant)
    }

    /// Removes everything in `parts` whose label `pick` picks, and returns how many entries of sets that were.
    /// Reads the sets in full; `pick` may be asked about a label more than once.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; nothing has changed then. A missing table is not an error.
    pub fn remove_where(&mut self, parts: &[Part], pick: impl FnMut(&str) -> bool) -> Result<usize> {
        let read = |ruleset: &mut Self| {
            let mut queues = Vec::new();
            for set in sets::of(parts) {
                queues.extend(Queue::read_all(&mut ruleset.connection, set)?);
            }
            Ok(queues)
        };
        self.remove_from(read, pick)
    }

    /// Removes whose label `pick` picks from the queues that `read` reads, provided that nothing changes between the look
    /// and the removal.
    fn remove_from(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<Vec<Queue>>,
        mut pick: impl FnMut(&str) -> bool,
    ) -> Result<usize> {
        let mut stale = 0;
        for _ in 0..ATTEMPTS {
            let generation = match self.connection.generation() {
                // A kernel without nf_tables holds nothing.
                Err(error) if error.is_unsupported() => return Ok(0),
                generation => generation?,
            };
            let mut batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
            let mut found = Vec::new();
            for queue in read(self)? {
                if queue.all().any(|held| pick(&held.label)) {
                    let (go, stay): (Vec<Held>, Vec<Held>) = queue.all().cloned().partition(|held| pick(&held.label));
                    queue.change_to(&stay).into_iter().for_each(|message| batch.push(message));
                    found.extend(go);
                }
            }
            if found.is_empty() {
                return Ok(0);
            }
            self.releases(&found, &[])?.into_iter().for_each(|message| batch.push(message));
            match self.connection.commit(batch) {
                Ok(()) => return Ok(found.len()),
                Err(error) if error.is_restart() => {}
                // Also if a use count that we read belonged to a transaction that was then given up.
                Err(error) if stale < STALE && conflicts(&error) => stale += 1,
                Err(source) => return Err(Error::doing("remove nftables elements")(source)),
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// The messages that remove the on-demand chains that nothing leads to any more, when the elements `gone` are not there
    /// any more and `come` are. The kernel counts a chain's rules and what leads to it in one number.
    pub(super) fn releases(&mut self, gone: &[Held], come: &[Held]) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        for (name, references) in references(gone, come) {
            let Some(state) = self.connection.chain(INET, name)? else {
                continue;
            };
            if state.uses > references.saturating_add(FEW_RULES) {
                continue;
            }
            let rules = self.connection.rules(INET, name, |_| ())?.len();
            if usize::try_from(state.uses - references.min(state.uses)) == Ok(rules) {
                messages.push(del_chain(INET, name));
                messages.extend(self.release_of_bridge(name)?);
            }
        }
        Ok(messages)
    }

    /// The message that removes an isolated bridge whose chain goes.
    fn release_of_bridge(&mut self, chain: &str) -> Result<Option<Message>> {
        let place = ISOLATED_BRIDGES.place();
        let Some(bridge) = bridge_of(chain) else { return Ok(None) };
        let held = self.connection.element(place, &interface_name(&bridge))?;
        Ok(held.map(|held| del_element(place, &held.key)))
    }
}

/// The on-demand chains that more of the elements `gone` lead to than of `come`, and how many more.
fn references<'a>(gone: &'a [Held], come: &'a [Held]) -> Vec<(&'a str, u32)> {
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    gone.iter().filter_map(chain).for_each(|name| counts.entry(name).or_default().0 += 1);
    come.iter().filter_map(chain).for_each(|name| counts.entry(name).or_default().1 += 1);
    let fewer = counts.into_iter().map(|(name, (gone, come))| (name, gone.saturating_sub(come)));
    fewer.filter(|(name, count)| *count > 0 && is_on_demand(name)).collect()
}

/// The chain that an element leads to.
fn chain(held: &Held) -> Option<&str> {
    match &held.data {
        Some(Data::Jump(name) | Data::Goto(name)) => Some(name),
        _ => None,
    }
}
