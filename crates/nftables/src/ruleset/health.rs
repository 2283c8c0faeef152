//! Whether the part of the ruleset that never grows works, and what has to be made anew if not.
//!
//! Two questions tell, whatever the size of the ruleset: one about a table, one about its chains. The kernel counts a
//! chain's rules and what leads to it in one number, so that a chain which rules of ours lead to, or packets alone, is known to
//! be whole without a look at its rules. Where elements lead to a chain, or others added rules, the rules are counted.
//!
//! An ADD asks about the chains that its elements need ([`Ruleset::serves`]); only if one of them is not as it was made is
//! everything looked at ([`Ruleset::damage`]).
//!
//! Which layout the tables have is told by an empty chain named after it ([`skeleton::marker`]).

use std::borrow::Cow;

use super::chains::{MASQUERADE_PUBLISHED, OnDemand};
use super::element::Entry;
use super::skeleton::{AFTER_DSTNAT, BRIDGE_FILTER, BRIDGE_RAW, DSTNAT, FILTER, RAW, SRCNAT};
use super::{BRIDGE, Difference, INET, Ruleset, sets, skeleton};
use crate::connection::ChainState;
use crate::object::{Data, Held, Hook};
use crate::uapi::hook::{FORWARD, OUTPUT, POSTROUTING, PREROUTING};
use crate::{Error, Result, Table};

/// What has to be made, or made anew.
#[derive(Debug, Default)]
pub(super) struct Lack {
    pub(super) tables: Vec<Table<'static>>,
    pub(super) chains: Vec<LackingChain>,
}

/// An on-demand chain that is not there, or not whole.
#[derive(Debug)]
pub(super) struct LackingChain {
    pub(super) chain: OnDemand,
    /// It is known that there is none of that name; any other is emptied first.
    pub(super) is_absent: bool,
}

impl Lack {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.chains.is_empty()
    }
}

/// What a chain has to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    table: Table<'static>,
    name: Cow<'static, str>,
    rules: usize,
    /// How many rules of ours lead to it.
    jumps: usize,
    /// Where packets enter it, if it is a base chain.
    hook: Option<Hook>,
}

/// The skeleton's chains. Making all of its rules in order to count them would take a tenth of an ADD.
static SKELETON: [Wanted; 14] = [
    base(INET, skeleton::LOCALNET, 2, Hook { kind: "filter", number: PREROUTING, priority: RAW }),
    base(INET, "prerouting", 1, Hook { kind: "nat", number: PREROUTING, priority: DSTNAT }),
    base(INET, "answers", 1, Hook { kind: "filter", number: PREROUTING, priority: AFTER_DSTNAT }),
    base(INET, "output", 1, Hook { kind: "nat", number: OUTPUT, priority: DSTNAT }),
    inner(INET, "publish", 5, 2),
    base(INET, "postrouting", 4, Hook { kind: "nat", number: POSTROUTING, priority: SRCNAT }),
    inner(INET, MASQUERADE_PUBLISHED, 1, 0),
    base(INET, "forward", 4, Hook { kind: "filter", number: FORWARD, priority: FILTER }),
    inner(INET, "member", 8, 4),
    inner(INET, "admin", 0, 1),
    inner(INET, "unpublished", 7, 2),
    inner(INET, "isolation", 4, 1),
    base(BRIDGE, "prerouting", 1, Hook { kind: "filter", number: PREROUTING, priority: BRIDGE_RAW }),
    base(BRIDGE, "forward", 1, Hook { kind: "filter", number: FORWARD, priority: BRIDGE_FILTER }),
];

const fn base(table: Table<'static>, name: &'static str, rules: usize, hook: Hook) -> Wanted {
    Wanted { table, name: Cow::Borrowed(name), rules, jumps: 0, hook: Some(hook) }
}

const fn inner(table: Table<'static>, name: &'static str, rules: usize, jumps: usize) -> Wanted {
    Wanted { table, name: Cow::Borrowed(name), rules, jumps, hook: None }
}

impl Wanted {
    /// Whether the kernel's number alone says that no rule is missing.
    fn is_whole(&self, state: ChainState) -> bool {
        let is_led_to_by_rules = self.hook.is_some() || self.jumps > 0;
        self.rules == 0 || (is_led_to_by_rules && usize::try_from(state.uses) == Ok(self.rules + self.jumps))
    }

    /// Whether packets reach these entries' sets through it.
    fn leads_to(&self, entries: &[Entry]) -> bool {
        let mut of_table = entries.iter().filter(|entry| entry.set.table == self.table);
        of_table.any(|entry| entry.set.reached_by.contains(&&*self.name))
    }

    fn on_demand(chain: &OnDemand) -> Self {
        Self { table: INET, name: chain.name().into(), rules: chain.rules().len(), jumps: 0, hook: None }
    }

    /// The chain that tells a table's layout.
    fn marker(table: Table<'static>) -> Self {
        Self { table, name: skeleton::marker(skeleton::LAYOUT).into(), rules: 0, jumps: 0, hook: None }
    }
}

impl Ruleset {
    /// Whether all that `entries` need is as it was made, as far as a quick look tells: `false` asks for a thorough one.
    pub(super) fn serves(&mut self, entries: &[Entry]) -> Result<bool> {
        let mut needed = Vec::new();
        for table in tables_of(entries) {
            if !self.connection.table(table)?.is_some_and(|state| state.can_be_changed() && !state.is_dormant()) {
                return Ok(false);
            }
            needed.push(Wanted::marker(table));
            needed.extend(in_table(table).filter(|chain| chain.leads_to(entries)).cloned());
        }
        needed.extend(led_to(entries));
        let places: Vec<_> = needed.iter().map(|chain| (chain.table, &*chain.name)).collect();
        for (chain, state) in needed.iter().zip(self.connection.chains(&places)?) {
            if !self.stands(chain, state)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the filter stands without which `route_localnet` would let neighbours reach the host's loopback addresses.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn guards_loopback(&mut self) -> Result<bool> {
        if self.connection.table(INET)?.is_none_or(|table| table.is_dormant()) {
            return Ok(false);
        }
        let state = self.connection.chain(INET, skeleton::LOCALNET)?;
        let [filter, ..] = &SKELETON;
        self.stands(filter, state)
    }

    /// Whether a chain is there, where it has to be, and neither it nor those that lead to it lost a rule.
    fn stands(&mut self, chain: &Wanted, state: Option<ChainState>) -> Result<bool> {
        let Some(state) = state.filter(|state| state.hook == chain.hook) else { return Ok(false) };
        if chain.is_whole(state) {
            return Ok(true);
        }
        let rules = self.connection.rules(chain.table, &chain.name, |_| ())?.len();
        Ok(rules >= chain.rules && usize::try_from(state.uses).is_ok_and(|uses| uses >= rules + chain.jumps))
    }

    /// What `entries` lack around them, or all that is around them. Where a table is made anew, so are the chains that
    /// elements of others lead to.
    pub(super) fn lack(&mut self, entries: &[Entry], all: bool) -> Result<Lack> {
        let (mut tables, mut chains) = (tables_of(entries), chains_of(entries));
        if all && !tables.contains(&INET) {
            tables.push(INET);
        }
        let damage = self.damage(&tables, &chains)?;
        let (of_chains, of_tables): (Vec<_>, Vec<_>) = damage
            .into_iter()
            .partition(|difference| chains.iter().any(|chain| difference.is_in_chain(INET, &chain.name())));
        tables.retain(|table| all || of_tables.iter().any(|difference| difference.table() == Some(*table)));
        if tables.contains(&INET) {
            let others = self.chains_led_to()?;
            chains.extend(
                others.into_iter().filter(|other| !entries.iter().any(|entry| entry.chain.as_ref() == Some(other))),
            );
        } else {
            chains.retain(|chain| of_chains.iter().any(|difference| difference.is_in_chain(INET, &chain.name())));
        }
        let lacking = |chain: OnDemand| {
            let name = chain.name();
            let is_absent = of_chains.iter().any(|difference| difference.is_absence_of(INET, &name));
            LackingChain { chain, is_absent }
        };
        Ok(Lack { tables, chains: chains.into_iter().map(lacking).collect() })
    }

    /// What keeps tables, and on-demand chains, from working.
    ///
    /// # Errors
    /// [`Error::Foreign`] and [`Error::Owned`] if a table is not ours to mend.
    pub(super) fn damage(&mut self, tables: &[Table<'static>], chains: &[OnDemand]) -> Result<Vec<Difference>> {
        let (mut damage, mut wanted) = (Vec::new(), Vec::new());
        for table in tables {
            let difference = self.damaged_table(*table)?;
            if !matches!(difference, Some(Difference::Table { .. })) {
                wanted.extend(in_table(*table).cloned());
            }
            damage.extend(difference);
        }
        wanted.extend(chains.iter().map(Wanted::on_demand));
        let places: Vec<_> = wanted.iter().map(|chain| (chain.table, &*chain.name)).collect();
        for (chain, state) in wanted.iter().zip(self.connection.chains(&places)?) {
            let difference = self.damaged_chain(chain, state)?;
            // Which rules another layout has is not known here.
            let is_known = !damage.contains(&Difference::Layout { table: chain.table });
            damage.extend(difference.filter(|_| is_known));
        }
        Ok(damage)
    }

    fn damaged_table(&mut self, table: Table<'static>) -> Result<Option<Difference>> {
        let Some(state) = self.connection.table(table)? else {
            return Ok(Some(Difference::Table { table }));
        };
        if !state.can_be_changed() {
            return Err(Error::Owned { table });
        }
        // nft before 1.0 loses comments of tables, and an administrator may have made the table for their chain "admin".
        match state.about.as_deref() {
            Some(about) if !about.starts_with(skeleton::OURS) => return Err(Error::Foreign { table }),
            None if !self.has_skeleton(table)? => return Ok(Some(Difference::Table { table })),
            _ => {}
        }
        if state.is_dormant() {
            return Ok(Some(Difference::Dormant { table }));
        }
        self.layout(table)
    }

    /// What the table's layout differs in from this program's.
    ///
    /// # Errors
    /// [`Error::Newer`] if a later version of ferrocni made the table.
    fn layout(&mut self, table: Table<'static>) -> Result<Option<Difference>> {
        if self.connection.chain(table, &skeleton::marker(skeleton::LAYOUT))?.is_some() {
            return Ok(None);
        }
        let found = self.connection.chain_names(table)?.iter().filter_map(|name| skeleton::layout_in(name)).max();
        match found {
            Some(layout) if layout > skeleton::LAYOUT => Err(Error::Newer { table, layout }),
            _ => Ok(Some(Difference::Layout { table })),
        }
    }

    fn has_skeleton(&mut self, table: Table<'static>) -> Result<bool> {
        let bases = in_table(table).filter(|chain| chain.hook.is_some());
        let names: Vec<_> = bases.map(|chain| (table, &*chain.name)).collect();
        Ok(self.connection.chains(&names)?.iter().any(Option::is_some))
    }

    fn damaged_chain(&mut self, wanted: &Wanted, state: Option<ChainState>) -> Result<Option<Difference>> {
        let Wanted { table, name, rules: expected, .. } = wanted;
        let difference =
            |found| Difference::Chain { table: *table, chain: name.to_string(), expected: *expected, found };
        let Some(state) = state else { return Ok(Some(difference(None))) };
        // No transaction of ours can change that.
        if state.hook != wanted.hook {
            return Err(Error::Foreign { table: *table });
        }
        if wanted.is_whole(state) {
            return Ok(None);
        }
        let found = self.connection.rules(*table, name, |_| ())?.len();
        Ok((found < *expected).then(|| difference(Some(found))))
    }

    /// The on-demand chains that elements lead to. Reads the maps in full.
    fn chains_led_to(&mut self) -> Result<Vec<OnDemand>> {
        let mut names = Vec::new();
        for set in sets::to_chains().flat_map(|set| [Some(*set), set.waiting()]).flatten() {
            names.extend(self.connection.elements(set.place())?.into_iter().filter_map(target));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names.iter().filter_map(|name| OnDemand::named(name)).collect())
    }
}

fn target(held: Held) -> Option<String> {
    match held.data {
        Some(Data::Jump(chain) | Data::Goto(chain)) => Some(chain),
        _ => None,
    }
}

/// The chains that entries lead to. No number tells whether these are whole, since it is not known how many elements lead to them.
fn led_to(entries: &[Entry]) -> Vec<Wanted> {
    let mut chains: Vec<_> = chains_of(entries).iter().map(Wanted::on_demand).collect();
    let is_led_to = |chain: &&Wanted| {
        entries.iter().any(|entry| matches!(&entry.held.data, Some(Data::Jump(name)) if *name == chain.name))
    };
    chains.extend(in_table(INET).filter(is_led_to).cloned());
    chains
}

/// The tables that entries are in.
pub(super) fn tables_of(entries: &[Entry]) -> Vec<Table<'static>> {
    let mut tables = vec![INET, BRIDGE];
    tables.retain(|table| entries.iter().any(|entry| entry.set.table == *table));
    tables
}

/// The on-demand chains that entries lead to.
pub(super) fn chains_of(entries: &[Entry]) -> Vec<OnDemand> {
    let mut chains = Vec::new();
    for chain in entries.iter().filter_map(|entry| entry.chain.as_ref()) {
        if !chains.contains(chain) {
            chains.push(chain.clone());
        }
    }
    chains
}

fn in_table(table: Table<'static>) -> impl Iterator<Item = &'static Wanted> {
    SKELETON.iter().filter(move |chain| chain.table == table)
}

/// How many rules a chain of the skeleton has.
pub(super) fn rules_of(table: Table<'_>, name: &str) -> usize {
    SKELETON.iter().find(|chain| chain.table == table && chain.name == name).map_or(0, |chain| chain.rules)
}

#[cfg(test)]
mod tests {
    use nfnetlink::{Attributes, Message};

    use super::*;
    use crate::uapi::{data, expression, immediate, rule, verdict};

    /// The chain that a rule jumps or goes to by itself.
    fn chain_in(rule: &Message) -> Option<&str> {
        Attributes::new(rule.attributes()).inside(rule::EXPRESSIONS).find_map(|item| {
            let verdict = item.nested().inside(expression::DATA).inside(immediate::DATA).inside(data::VERDICT);
            verdict.find(verdict::CHAIN)?.text()
        })
    }

    #[test]
    fn the_skeleton_is_as_its_rules_make_it() {
        for table in [INET, BRIDGE] {
            let chains = skeleton::chains(table);
            let targets: Vec<&str> = chains.iter().flat_map(|chain| &chain.rules).filter_map(chain_in).collect();
            let made: Vec<_> = chains
                .iter()
                .map(|chain| Wanted {
                    table,
                    name: chain.name.into(),
                    rules: chain.rules.len(),
                    jumps: targets.iter().filter(|target| **target == chain.name).count(),
                    hook: chain.hook,
                })
                .collect();
            assert_eq!(in_table(table).cloned().collect::<Vec<_>>(), made);
        }
    }
}
