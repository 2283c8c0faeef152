//! Taking elements out.
//!
//! Deleting is dear: the kernel waits until no packet can see the elements any more. So there is one
//! transaction at most, and none if there is nothing of ours.

use nfnetlink::{Batch, subsystem};

use super::chains::{bridge_of, is_on_demand};
use super::element::{Element, Part, places};
use super::queue::Queue;
use super::sets::{self, ISOLATED_BRIDGES};
use super::{ATTEMPTS, INET, Ruleset, STALE, conflicts};
use crate::expression::interface_name;
use crate::object::{Data, Held, del_chain, del_element};
use crate::{Error, Result};

/// An on-demand chain has fewer rules than this, if nobody added some.
const FEW_RULES: u32 = 16;

impl Ruleset {
    /// Removes those of `elements` that `label` holds or waits for, whatever their data, and returns how many
    /// entries of sets that were. Who waits for what `label` held takes it over. A subnet's or bridge's chain goes with
    /// the last element that leads to it.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses; nothing has changed then. Elements that are absent, held by
    /// others, or such that [`Ruleset::insert`] would have refused them, and a missing table, are not errors.
    pub fn remove(&mut self, label: &str, elements: &[Element]) -> Result<usize> {
        let places: Vec<_> = places(elements).collect();
        let read = |ruleset: &mut Self| {
            places.iter().map(|(set, key)| Queue::read(&mut ruleset.connection, set, key)).collect()
        };
        self.remove_from(read, |holder| holder == label)
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
                let (go, stay): (Vec<Held>, Vec<Held>) = queue.all().cloned().partition(|held| pick(&held.label));
                if !go.is_empty() {
                    queue.change_to(&stay).into_iter().for_each(|message| batch.push(message));
                    found.extend(go);
                }
            }
            if found.is_empty() {
                return Ok(0);
            }
            self.release_chains(&found, &mut batch)?;
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

    /// Appends the removal of the on-demand chains that only `found` leads to. The kernel counts a chain's
    /// rules and what leads to it in one number.
    fn release_chains(&mut self, found: &[Held], batch: &mut Batch) -> Result<()> {
        for (name, references) in references(found) {
            let Some(state) = self.connection.chain(INET, name)? else {
                continue;
            };
            if state.uses > references.saturating_add(FEW_RULES) {
                continue;
            }
            let rules = self.connection.rules(INET, name, |_| ())?.len();
            if usize::try_from(state.uses - references.min(state.uses)) == Ok(rules) {
                batch.push(del_chain(INET, name));
                self.release_bridge(name, batch)?;
            }
        }
        Ok(())
    }

    /// Appends the removal of an isolated bridge whose chain goes.
    fn release_bridge(&mut self, chain: &str, batch: &mut Batch) -> Result<()> {
        let place = ISOLATED_BRIDGES.place();
        if let Some(bridge) = bridge_of(chain) {
            let held = self.connection.element(place, &interface_name(&bridge))?;
            held.into_iter().for_each(|held| batch.push(del_element(place, &held.key)));
        }
        Ok(())
    }
}

/// The on-demand chains that the elements lead to, and how many of them do.
fn references(found: &[Held]) -> Vec<(&str, u32)> {
    let mut counts: Vec<(&str, u32)> = Vec::new();
    for held in found {
        let (Some(Data::Jump(name)) | Some(Data::Goto(name))) = &held.data else {
            continue;
        };
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None if is_on_demand(name) => counts.push((name, 1)),
            None => {}
        }
    }
    counts
}
