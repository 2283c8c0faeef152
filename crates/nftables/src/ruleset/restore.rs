//! Bringing back what many attachments have, after somebody has flushed the ruleset.

use std::collections::HashSet;

use super::Ruleset;
use super::holder::Claim;
use super::insert::{Insertion, prepare};
use crate::Result;

impl Ruleset {
    /// Does what [`Ruleset::insert`] does for each of the claims, in one transaction. Claims to what an earlier one has as well, such
    /// as a port that a container publishes on two networks, come after it.
    ///
    /// # Errors
    /// Those of [`Ruleset::insert`]. What was in the transaction is not changed then.
    pub fn restore(&mut self, claims: &[Claim]) -> Result<()> {
        let (mut first, mut later) = (Insertion::default(), Vec::new());
        let mut known = HashSet::new();
        for claim in claims {
            let entries = prepare(claim.holder(), &claim.elements)?;
            let places: Vec<_> = entries.iter().map(|entry| (entry.set.name, entry.held.key.clone())).collect();
            let is_first = places.iter().all(|place| !known.contains(place));
            known.extend(places);
            if is_first {
                first.add(&claim.elements, entries);
            } else {
                later.push(claim);
            }
        }
        if !first.is_empty() {
            self.carry_out(first)?;
        }
        later.into_iter().try_for_each(|claim| self.insert(claim.holder(), &claim.elements))
    }
}
