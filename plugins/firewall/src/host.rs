//! What else filters on this host. Each question is asked once, however many attachments it is about.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use iptables::{Chain, Family, Variant};

use crate::Error;

/// The host's other firewalls, as they were when they were asked first.
#[derive(Debug, Default)]
pub struct Host {
    firewalld_runs: OnceCell<bool>,
    /// By family and the administrator's chain.
    iptables: RefCell<BTreeMap<(Family, String), Vec<Variant>>>,
}

impl Host {
    pub(crate) fn runs_firewalld(&self) -> Result<bool, Error> {
        if let Some(runs) = self.firewalld_runs.get() {
            return Ok(*runs);
        }
        let runs = firewalld::is_running().map_err(Error::Undecided)?;
        Ok(*self.firewalld_runs.get_or_init(|| runs))
    }

    /// Each iptables that may drop what it forwards, or in which the administrator has rules for containers.
    pub(crate) fn iptables_in_the_way(&self, family: Family, admin: &Chain) -> Result<Vec<Variant>, Error> {
        let key = (family, admin.as_str().to_owned());
        if let Some(variants) = self.iptables.borrow().get(&key) {
            return Ok(variants.clone());
        }
        let variants = with_admin_rules(iptables::forward_drops(family)?, family, admin)?;
        self.iptables.borrow_mut().insert(key, variants.clone());
        Ok(variants)
    }
}

/// The same for CHECK: a rule that drops on conditions may have come after ADD, and be about others.
pub(crate) fn iptables_surely_in_the_way(family: Family, admin: &Chain) -> Result<Vec<Variant>, Error> {
    with_admin_rules(iptables::forward_drops_the_rest(family)?, family, admin)
}

fn with_admin_rules(mut variants: Vec<Variant>, family: Family, admin: &Chain) -> Result<Vec<Variant>, Error> {
    for variant in iptables::admin_rules(family, admin)? {
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    Ok(variants)
}
