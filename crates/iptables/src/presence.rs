//! What is in the host's iptables, asked of the kernel directly: no child process, nothing loaded.

use nftables::inspect::Inspector;

use crate::{Chain, Family, Result, Table, Variant, legacy};

/// In which of the two iptables the FORWARD chain would or could drop what is forwarded: by its policy, or by a rule directly
/// in it. The rules in chains that it jumps to are not looked at.
///
/// Each packet passes both, so that accepting it in one does not help against the other: the firewall's rules have to be in
/// every one of these.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn forward_drops(family: Family) -> Result<Vec<Variant>> {
    let by_nft = forward(family)?.is_some_and(|chain| chain.drops());
    Ok(found(by_nft, legacy::forward_drops(family)?))
}

/// The same, but only where it would drop all that no rule has accepted. A rule that drops on conditions may be about others.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn forward_drops_the_rest(family: Family) -> Result<Vec<Variant>> {
    let by_nft = forward(family)?.is_some_and(|chain| chain.drops_the_rest);
    Ok(found(by_nft, legacy::forward_drops_the_rest(family)?))
}

fn forward(family: Family) -> Result<Option<nftables::inspect::Chain>> {
    ask(|inspector| inspector.chain(table_of(family, Table::Filter), "FORWARD"))
}

/// In which of the two iptables the administrator has rules in a chain of their own, which only `CNI-FORWARD` leads to. An empty chain
/// says nothing: the Go suite makes one and leaves it. iptables-legacy does not tell chains with rules from others cheaply, and is
/// not asked.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn admin_rules(family: Family, admin: &Chain) -> Result<Vec<Variant>> {
    let chain = ask(|inspector| inspector.chain(table_of(family, Table::Filter), admin.as_str()))?;
    Ok(found(chain.is_some_and(|chain| chain.has_rules), false))
}

/// Whether ports of containers are published by iptables, by this suite or the reference. iptables-legacy tells that the chain
/// for them is there, not that it is empty.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn publishes(family: Family) -> Result<bool> {
    let chain = Chain::new("CNI-HOSTPORT-DNAT")?;
    let by_nft = ask(|inspector| inspector.chain(table_of(family, Table::Nat), chain.as_str()))?;
    Ok(by_nft.is_some_and(|chain| chain.has_rules) || legacy::has_chain(family, Table::Nat, &chain)?)
}

/// The variants whose table has this chain.
pub(crate) fn variants(family: Family, table: Table, chain: &Chain) -> Result<Vec<Variant>> {
    let by_nft = ask(|inspector| inspector.chain_exists(table_of(family, table), chain.as_str()))?;
    Ok(found(by_nft, legacy::has_chain(family, table, chain)?))
}

/// The variants that have this table.
pub(crate) fn loaded(family: Family, table: Table) -> Result<Vec<Variant>> {
    let by_nft = ask(|inspector| inspector.table_exists(table_of(family, table)))?;
    Ok(found(by_nft, legacy::is_loaded(family, table)?))
}

fn found(nft: bool, legacy: bool) -> Vec<Variant> {
    let both = [(nft, Variant::Nft), (legacy, Variant::Legacy)];
    both.into_iter().filter_map(|(is_there, variant)| is_there.then_some(variant)).collect()
}

/// Asks nf_tables; a kernel that has none has nothing.
fn ask<T: Default>(question: impl FnOnce(&mut Inspector) -> nftables::Result<T>) -> Result<T> {
    match Inspector::open().and_then(|mut inspector| question(&mut inspector)) {
        Err(error) if error.is_unsupported() => Ok(T::default()),
        answer => Ok(answer?),
    }
}

fn table_of(family: Family, table: Table) -> nftables::Table<'static> {
    let family = match family {
        Family::V4 => nftables::Family::Ip,
        Family::V6 => nftables::Family::Ip6,
    };
    nftables::Table { family, name: table.name() }
}
