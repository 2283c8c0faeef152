//! The Go suite's firewall rules: `CNI-FORWARD` first in FORWARD, the administrator's chain first in
//! that, then what each address may do.

use ipnetwork::IpNetwork;

use crate::change::{change, read};
use crate::isolation::{self, Isolation};
use crate::presence::variants;
use crate::saved::Saved;
use crate::{Chain, Error, Family, Restore, Result, Rule, Table, Variant};

/// What to let through.
#[derive(Debug, Clone)]
pub struct Firewall<'a> {
    /// The container's addresses; their prefix lengths do not matter.
    pub addresses: &'a [IpNetwork],
    /// The administrator's chain (`iptablesAdminChainName`).
    pub admin: Chain,
    /// Let new connections to published ports in too. The Go suite does not, and so its published ports
    /// are dead on a host that drops what it forwards; it does not remove the rule either.
    pub published: bool,
    /// The bridge to close towards other bridges (`ingressPolicy`).
    pub isolation: Option<Isolation<'a>>,
}

/// The name of the administrator's chain where the configuration names none.
#[must_use]
pub fn default_admin_chain() -> Chain {
    Chain::known("CNI-ADMIN")
}

/// Adds the rules that are missing.
///
/// # Errors
/// Those of the program.
pub fn add(firewall: &Firewall<'_>, variant: Variant) -> Result<()> {
    for family in firewall.families() {
        let rules = firewall.rules(family);
        change(family, variant, Table::Filter, |saved, restore| {
            firewall.ensure_chains(saved, restore);
            if let Some(isolation) = firewall.isolation {
                isolation::ensure(saved, restore, isolation);
            }
            rules.iter().filter(|rule| !saved.contains(&forward(), rule)).for_each(|rule| {
                restore.append(&forward(), rule);
            });
        })?;
    }
    Ok(())
}

/// Verifies that every rule is there.
///
/// # Errors
/// [`Error::Missing`] names the first one that is not; otherwise those of the program.
pub fn check(firewall: &Firewall<'_>, variant: Variant) -> Result<()> {
    for family in firewall.families() {
        let saved = read(family, variant, Table::Filter)?;
        let missing = |chain: &str, rule: &Rule| {
            Err(Error::Missing { family, table: Table::Filter, expected: format!("-A {chain} {rule}") })
        };
        if !saved.jumps(&Chain::known("FORWARD"), &forward()) {
            return missing("FORWARD", &entry());
        }
        if !saved.jumps(&forward(), &firewall.admin) {
            return missing(FORWARD, &firewall.admin_entry());
        }
        if let Some(rule) = firewall.rules(family).iter().find(|rule| !saved.contains(&forward(), rule)) {
            return missing(FORWARD, rule);
        }
        if let Some((chain, rule)) = firewall.isolation.and_then(|isolation| isolation::lacking(&saved, isolation)) {
            return missing(chain.as_str(), &rule);
        }
    }
    Ok(())
}

/// Removes every rule of `CNI-FORWARD` that is about one of these addresses alone, the reference's too.
///
/// # Errors
/// Those of the program.
pub fn remove(addresses: &[IpNetwork]) -> Result<()> {
    for family in Family::ALL {
        let words: Vec<String> =
            addresses.iter().filter(|address| Family::of(address.ip()) == family).map(host).collect();
        if words.is_empty() {
            continue;
        }
        for variant in variants(family, Table::Filter, &forward())? {
            change(family, variant, Table::Filter, |saved, restore| {
                saved.rules_of(&forward()).filter_map(|line| about(line, &words)).for_each(|rule| {
                    restore.delete(&forward(), &rule);
                });
            })?;
        }
    }
    Ok(())
}

/// The addresses that have rules in `CNI-FORWARD`, in both families.
///
/// # Errors
/// Those of the program.
pub fn list() -> Result<Vec<IpNetwork>> {
    let mut addresses = Vec::new();
    for family in Family::ALL {
        for variant in variants(family, Table::Filter, &forward())? {
            for line in read(family, variant, Table::Filter)?.rules_of(&forward()) {
                let word = line.split(' ').nth(1).unwrap_or_default();
                match word.parse() {
                    Ok(address) if !addresses.contains(&address) => addresses.push(address),
                    _ => {}
                }
            }
        }
    }
    Ok(addresses)
}

impl Firewall<'_> {
    fn families(&self) -> impl Iterator<Item = Family> {
        Family::ALL
            .into_iter()
            .filter(|family| self.addresses.iter().any(|address| Family::of(address.ip()) == *family))
    }

    fn rules(&self, family: Family) -> Vec<Rule> {
        let addresses = self.addresses.iter().filter(|address| Family::of(address.ip()) == family);
        addresses.flat_map(|address| rules_of(IpNetwork::from(address.ip()), self.published)).collect()
    }

    fn admin_entry(&self) -> Rule {
        Rule::new().remark("CNI firewall plugin admin overrides").jump(&self.admin)
    }

    fn ensure_chains(&self, saved: &Saved, restore: &mut Restore) {
        for chain in [&forward(), &self.admin] {
            if !saved.has_chain(chain) {
                restore.create_chain(chain);
            }
        }
        if !saved.jumps(&Chain::known("FORWARD"), &forward()) {
            restore.prepend(&Chain::known("FORWARD"), &entry());
            isolation::lead(saved, restore);
        }
        if !saved.jumps(&forward(), &self.admin) {
            restore.prepend(&forward(), &self.admin_entry());
        }
    }
}

const FORWARD: &str = "CNI-FORWARD";

fn forward() -> Chain {
    Chain::known(FORWARD)
}

fn entry() -> Rule {
    Rule::new().remark("CNI firewall plugin rules").jump(&forward())
}

fn rules_of(address: IpNetwork, published: bool) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new().destination(address).words("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        Rule::new().source(address).words("-j ACCEPT"),
    ];
    if published {
        rules.push(Rule::new().destination(address).words("-m conntrack --ctstate DNAT -j ACCEPT"));
    }
    rules
}

/// The address as a saved rule names it.
fn host(address: &IpNetwork) -> String {
    IpNetwork::from(address.ip()).to_string()
}

/// The rule, if it matches one of these addresses and lets it through.
fn about(line: &str, addresses: &[String]) -> Option<Rule> {
    let words = crate::rule::split(line);
    let address = words.get(1)?;
    let ours = matches!(words[0].as_str(), "-s" | "-d") && addresses.contains(address);
    (ours && words.ends_with(&["-j".into(), "ACCEPT".into()])).then(|| Rule::from_saved(words))
}
