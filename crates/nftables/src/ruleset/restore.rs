//! Bringing back what many attachments have, after somebody has flushed the ruleset.

use std::collections::HashSet;

use super::Ruleset;
use super::element::places;
use super::holder::Claim;
use super::insert::Insertion;
use crate::Result;

impl Ruleset {
    /// Does what [`Ruleset::insert`] does for each of the claims, in one transaction. Claims to what an earlier one has as well, such
    /// as a port that a container publishes on two networks, come after it.
    ///
    /// # Errors
    /// Those of [`Ruleset::insert`]. What was in the transaction is not changed then.
    pub fn restore(&mut self, claims: &[Claim]) -> Result<()> {
        let mut known = HashSet::new();
        let (first, later): (Vec<_>, Vec<_>) = claims.iter().partition(|claim| {
            let keys: Vec<_> = places(&claim.elements).map(|(set, key)| (set.name, key)).collect();
            let is_first = keys.iter().all(|key| !known.contains(key));
            known.extend(keys);
            is_first
        });
        if !first.is_empty() {
            self.carry_out(Insertion::of_all(&first)?)?;
        }
        later.into_iter().try_for_each(|claim| self.insert(claim.holder(), &claim.elements))
    }
}
