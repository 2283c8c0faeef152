//! The Go suite's masquerading: one chain per container and network, entered from POSTROUTING by the
//! container's addresses.

use ipnetwork::IpNetwork;

use crate::change::{change, read};
use crate::presence::variants;
use crate::restore::Place;
use crate::saved::Saved;
use crate::{Chain, Comment, Error, Family, Restore, Result, Rule, Table, Variant};

/// What to masquerade: everything that leaves these addresses for another subnet than their own.
#[derive(Debug, Clone, Copy)]
pub struct Masquerade<'a> {
    /// The network's name, for the chain's name and the rules' comment.
    pub network: &'a str,
    /// The container's id, for the chain's name and the rules' comment.
    pub container: &'a str,
    /// The container's addresses with their subnets' prefix lengths.
    pub addresses: &'a [IpNetwork],
}

/// One container's rules, found by their comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The container's id; cut off where the comment was too long for the kernel.
    pub container: String,
    /// The chain with the container's masquerade rules.
    pub chain: String,
}

/// Adds the rules that are missing. The container may be in the network a second time, by another
/// interface: chain and comment do not tell the two apart, so what is there already stays.
///
/// # Errors
/// Those of the program, or [`Error::Invalid`] for names that cannot be in a comment.
pub fn add(masquerade: &Masquerade<'_>, variant: Variant) -> Result<()> {
    let (chain, comment) = (masquerade.chain(), masquerade.comment()?);
    for family in Family::ALL {
        let Some(wanted) = masquerade.wanted(family, &chain, &comment) else { continue };
        change(family, variant, Table::Nat, |saved, restore| {
            if !saved.has_chain(&chain) {
                restore.create_chain(&chain);
            }
            for (chain, rule, place) in wanted.lacking(saved) {
                restore.add(chain, rule, place);
            }
        })?;
    }
    Ok(())
}

/// Gives each of these `(network, container)` a chain, without rules and entered from nowhere, if it has none. The Go suite's DEL
/// fails where the chain that it wants to remove is missing, and removes one without rules.
///
/// # Errors
/// Those of the program.
pub fn add_empty_chains(attachments: &[(&str, &str)], variant: Variant) -> Result<()> {
    let chains = attachments.iter().map(|(network, container)| Chain::of_attachment("", network, container));
    let chains: Vec<_> = chains.collect();
    for family in Family::ALL {
        change(family, variant, Table::Nat, |saved, restore| {
            for chain in chains.iter().filter(|chain| !saved.has_chain(chain)) {
                restore.create_chain(chain);
            }
        })?;
    }
    Ok(())
}

/// Verifies that every rule is there.
///
/// # Errors
/// [`Error::Missing`] names the first one that is not; otherwise those of the program.
pub fn check(masquerade: &Masquerade<'_>, variant: Variant) -> Result<()> {
    let (chain, comment) = (masquerade.chain(), masquerade.comment()?);
    for family in Family::ALL {
        let Some(wanted) = masquerade.wanted(family, &chain, &comment) else { continue };
        let saved = read(family, variant, Table::Nat)?;
        if let Some((chain, rule, _)) = wanted.lacking(&saved).next() {
            return Err(Error::Missing { family, table: Table::Nat, expected: format!("-A {chain} {rule}") });
        }
    }
    Ok(())
}

/// Removes what the container has in this network, in both families, the reference's rules too; nothing is fine.
///
/// # Errors
/// Those of the program.
pub fn remove(network: &str, container: &str) -> Result<()> {
    remove_chain(&Chain::of_attachment("", network, container))
}

/// The containers that have rules in this network.
///
/// # Errors
/// Those of the program.
pub fn list(network: &str) -> Result<Vec<Owned>> {
    list_commented("", network)
}

/// Removes the rules of every container of this network that is not in `valid`.
///
/// # Errors
/// Those of the program.
pub fn collect_garbage(network: &str, valid: &[&str]) -> Result<()> {
    collect("", network, valid)
}

impl Masquerade<'_> {
    fn chain(&self) -> Chain {
        Chain::of_attachment("", self.network, self.container)
    }

    fn comment(&self) -> Result<Comment> {
        Comment::of_attachment("", self.network, self.container)
    }

    /// The rules of one family; none if the container has no address of it.
    fn wanted(&self, family: Family, chain: &Chain, comment: &Comment) -> Option<Wanted> {
        let mut rules: Vec<(Chain, Rule, Place)> = Vec::new();
        for address in self.addresses.iter().filter(|address| Family::of(address.ip()) == family) {
            let own = Rule::new().destination(*address).comment(comment).words("-j ACCEPT");
            let abroad = Rule::new().words(not_multicast(family)).comment(comment).words("-j MASQUERADE");
            let entry = Rule::new().source(IpNetwork::from(address.ip())).comment(comment).jump(chain);
            // A second subnet has to be accepted before the first one's rule masquerades everything.
            let all = [
                (chain.clone(), own, Place::First),
                (chain.clone(), abroad, Place::Last),
                (Chain::known("POSTROUTING"), entry, Place::Last),
            ];
            // Addresses of one subnet share rules.
            for rule in all {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        (!rules.is_empty()).then_some(Wanted(rules))
    }
}

struct Wanted(Vec<(Chain, Rule, Place)>);

impl Wanted {
    fn lacking(&self, saved: &Saved) -> impl Iterator<Item = (&Chain, &Rule, Place)> {
        let missing = |(chain, rule, _): &&(Chain, Rule, Place)| !saved.contains(chain, rule);
        self.0.iter().filter(missing).map(|(chain, rule, place)| (chain, rule, *place))
    }
}

fn not_multicast(family: Family) -> &'static str {
    match family {
        Family::V4 => "! -d 224.0.0.0/4",
        Family::V6 => "! -d ff00::/8",
    }
}

/// Removes every rule that jumps to `chain`.
pub(crate) fn forget_entries(saved: &Saved, restore: &mut Restore, chain: &Chain) {
    for (from, rule) in saved.rules_to(chain) {
        restore.delete(&from, &rule);
    }
}

/// Removes a container's chain from the nat tables of both families and what jumps to it.
pub(crate) fn remove_chain(chain: &Chain) -> Result<()> {
    for family in Family::ALL {
        for variant in variants(family, Table::Nat, chain)? {
            change(family, variant, Table::Nat, |saved, restore| {
                if saved.has_chain(chain) {
                    forget_entries(saved, restore, chain);
                    restore.reset_chain(chain).delete_chain(chain);
                }
            })?;
        }
    }
    Ok(())
}

/// The containers named in comments that start with `prefix` and this network.
pub(crate) fn list_commented(prefix: &str, network: &str) -> Result<Vec<Owned>> {
    let start = format!("{prefix}name: \"{network}\" id: \"");
    let mut owned = Vec::new();
    for family in Family::ALL {
        for variant in crate::presence::loaded(family, Table::Nat)? {
            let saved = match read(family, variant, Table::Nat) {
                // The table was made with nft, on a host that has no iptables and so nothing of ours in it.
                Err(error) if error.is_not_installed() => continue,
                saved => saved?,
            };
            for (comment, target) in saved.comments() {
                let container = comment.strip_prefix(&start).filter(|_| target.starts_with("CNI-"));
                let Some(container) = container else { continue };
                let container = container.strip_suffix('"').or(container.strip_suffix("...")).unwrap_or(container);
                let found = Owned { container: container.to_owned(), chain: target };
                if !owned.contains(&found) {
                    owned.push(found);
                }
            }
        }
    }
    Ok(owned)
}

/// Compares chain names, which hold the whole id, rather than ids, which a long comment cuts off.
pub(crate) fn collect(prefix: &str, network: &str, valid: &[&str]) -> Result<()> {
    let valid: Vec<Chain> = valid.iter().map(|id| Chain::of_attachment(prefix, network, id)).collect();
    let comment = if prefix.is_empty() { "" } else { "dnat " };
    for owned in list_commented(comment, network)? {
        let chain = Chain::new(&owned.chain)?;
        if !valid.contains(&chain) {
            remove_chain(&chain)?;
        }
    }
    Ok(())
}
