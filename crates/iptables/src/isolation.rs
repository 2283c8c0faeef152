//! The Go suite's isolation between bridges: what leaves an isolated bridge for another isolated bridge
//! is dropped, in two stages, before `CNI-FORWARD` could accept it.

use crate::change::{change, read};
use crate::presence::variants;
use crate::restore::Place;
use crate::saved::Saved;
use crate::{Chain, Error, Family, Interface, Restore, Result, Rule, Table, Variant};

/// How much of a bridge is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// To other bridges (`ingressPolicy: "same-bridge"`).
    SameBridge,
    /// To other bridges, and between its own containers where packets between them are filtered
    /// (`ingressPolicy: "isolated"`).
    Isolated,
}

/// A closed bridge.
#[derive(Debug, Clone, Copy)]
pub struct Isolation<'a> {
    /// The bridge that is closed.
    pub bridge: &'a Interface,
    /// How much of it is closed.
    pub policy: Policy,
}

/// Closes a bridge in these families. For where the rest of the firewall is not in iptables; else
/// [`crate::firewall::add`] does this in the same go.
///
/// # Errors
/// Those of the program.
pub fn add(isolation: Isolation<'_>, families: &[Family], variant: Variant) -> Result<()> {
    for family in families {
        change(*family, variant, Table::Filter, |saved, restore| ensure(saved, restore, isolation))?;
    }
    Ok(())
}

/// Verifies that a bridge is closed.
///
/// # Errors
/// [`Error::Missing`] names the first rule that is not there; otherwise those of the program.
pub fn check(isolation: Isolation<'_>, families: &[Family], variant: Variant) -> Result<()> {
    for family in families {
        let saved = read(*family, variant, Table::Filter)?;
        if let Some((chain, rule)) = lacking(&saved, isolation) {
            let expected = format!("-A {chain} {rule}");
            return Err(Error::Missing { family: *family, table: Table::Filter, expected });
        }
    }
    Ok(())
}

/// Removes the rules of bridges that are not used any more, and the chains with the last one. `is_used` is asked while no other
/// process of ours changes anything: a container that comes to a bridge at the same time finds the rules or adds them.
///
/// # Errors
/// Those of the program.
pub fn remove_unused(is_used: impl Fn(&str) -> bool) -> Result<()> {
    for family in Family::ALL {
        for variant in variants(family, Table::Filter, &stage1())? {
            change(family, variant, Table::Filter, |saved, restore| forget(saved, restore, &is_used))?;
        }
    }
    Ok(())
}

/// Every rule that a closed bridge needs, in the order in which the Go suite adds them: what belongs to
/// a bridge goes in front, so that the final RETURN stays last.
fn rules(Isolation { bridge, policy }: Isolation<'_>) -> Vec<(Chain, Rule, Place)> {
    let leaving = Rule::new().input(bridge).words("!").output(bridge);
    let within = Rule::new().input(bridge).output(bridge);
    let arriving = Rule::new().output(bridge);
    let mut rules = vec![
        (Chain::known("FORWARD"), Rule::new().remark(REMARK).jump(&stage1()), Place::First),
        (stage1(), leaving.remark(REMARK).jump(&stage2()), Place::First),
    ];
    if policy == Policy::Isolated {
        rules.push((stage1(), within.remark(REMARK_ISOLATED).words("-j DROP"), Place::First));
    }
    rules.extend([
        (stage1(), Rule::new().remark(REMARK).words("-j RETURN"), Place::Last),
        (stage2(), arriving.remark(REMARK).words("-j DROP"), Place::First),
        (stage2(), Rule::new().remark(REMARK).words("-j RETURN"), Place::Last),
    ]);
    rules
}

/// The first rule that is not there, with its chain.
pub(crate) fn lacking(saved: &Saved, isolation: Isolation<'_>) -> Option<(Chain, Rule)> {
    let mut rules = rules(isolation).into_iter();
    rules.find(|(chain, rule, _)| !saved.contains(chain, rule)).map(|(chain, rule, _)| (chain, rule))
}

/// Adds what is missing.
pub(crate) fn ensure(saved: &Saved, restore: &mut Restore, isolation: Isolation<'_>) {
    for chain in [stage1(), stage2()].iter().filter(|chain| !saved.has_chain(chain)) {
        restore.create_chain(chain);
    }
    for (chain, rule, place) in rules(isolation).iter().filter(|(chain, rule, _)| !saved.contains(chain, rule)) {
        restore.add(chain, rule, *place);
    }
}

/// Moves the entry to the front of FORWARD, if there is one: whatever was just put before it could accept
/// what it drops.
pub(crate) fn lead(saved: &Saved, restore: &mut Restore) {
    for (chain, rule) in saved.rules_to(&stage1()) {
        restore.delete(&chain, &rule).prepend(&chain, &rule);
    }
}

fn forget(saved: &Saved, restore: &mut Restore, is_used: impl Fn(&str) -> bool) {
    let mut others = false;
    for chain in [stage1(), stage2()] {
        for words in saved.rules_of(&chain).map(crate::rule::split) {
            match bridge_of(&words) {
                Some(bridge) if !is_used(bridge) => {
                    restore.delete(&chain, &Rule::from_saved(words));
                }
                _ => others |= !words.ends_with(&["-j".into(), "RETURN".into()]),
            }
        }
    }
    if !others && saved.has_chain(&stage1()) && saved.has_chain(&stage2()) {
        for (from, rule) in saved.rules_to(&stage1()) {
            restore.delete(&from, &rule);
        }
        restore.reset_chain(&stage1()).reset_chain(&stage2()).delete_chain(&stage1()).delete_chain(&stage2());
    }
}

/// The bridge that a rule is about, if the rule is ours or the Go suite's: the first interface that it names.
fn bridge_of(words: &[String]) -> Option<&str> {
    let ours = words.iter().any(|word| word == REMARK || word == REMARK_ISOLATED);
    let named = words.windows(2).find(|pair| matches!(pair[0].as_str(), "-i" | "-o"))?;
    ours.then_some(named[1].as_str())
}

const REMARK: &str = "CNI firewall plugin rules (ingressPolicy: same-bridge)";
const REMARK_ISOLATED: &str = "CNI firewall plugin rules (ingressPolicy: isolated)";

fn stage1() -> Chain {
    Chain::known("CNI-ISOLATION-STAGE-1")
}

fn stage2() -> Chain {
    Chain::known("CNI-ISOLATION-STAGE-2")
}
