//! What is in the host's iptables, asked of the kernel directly: no child process, nothing loaded.

use nfnetlink::{Attribute, Message, Reply, Socket, family, subsystem};

use crate::{Chain, Family, Result, Table, Variant, legacy};

/// Operations and attributes of nf_tables (linux/netfilter/nf_tables.h).
const GET_TABLE: u8 = 1;
const GET_CHAIN: u8 = 4;
const GET_RULE: u8 = 7;
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_POLICY: u16 = 5;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const TARGET_NAME: u16 = 1;
/// `NF_DROP`.
const DROP: u32 = 0;

/// Whether the host's FORWARD chain, of either iptables, would or could drop what is forwarded: by its
/// policy, or by a rule directly in it. The rules in chains that it jumps to are not looked at.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn would_drop_forwarded(family: Family) -> Result<bool> {
    Ok(!forward_drops(family)?.is_empty())
}

/// In which of the two iptables the FORWARD chain drops. Each packet passes both, so that accepting it in
/// one does not help against the other: the firewall's rules have to be in every one of these.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn forward_drops(family: Family) -> Result<Vec<Variant>> {
    let mut dropping = Vec::new();
    if nft_forward_drops(family)? {
        dropping.push(Variant::Nft);
    }
    if legacy::forward_drops(family)? {
        dropping.push(Variant::Legacy);
    }
    Ok(dropping)
}

/// Whether neither iptables, of neither family, has a masquerade or port chain of this attachment, be it
/// ours or the Go suite's: DEL needs no program then.
///
/// # Errors
/// If the kernel's tables cannot be read.
pub fn cheaply_absent(network: &str, container: &str) -> Result<bool> {
    for prefix in ["", "DN-"] {
        let chain = Chain::of_attachment(prefix, network, container);
        for family in Family::ALL {
            if !variants(family, Table::Nat, &chain)?.is_empty() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The variants whose table has this chain.
pub(crate) fn variants(family: Family, table: Table, chain: &Chain) -> Result<Vec<Variant>> {
    let mut found = Vec::new();
    if nft_chain(family, table, chain.as_str())?.is_some() {
        found.push(Variant::Nft);
    }
    if legacy::has_chain(family, table, chain)? {
        found.push(Variant::Legacy);
    }
    Ok(found)
}

/// The variants that have this table.
pub(crate) fn loaded(family: Family, table: Table) -> Result<Vec<Variant>> {
    let mut message = Message::new(subsystem::NFTABLES, GET_TABLE, 0, number(family));
    message.text(TABLE_NAME, table.name());
    let mut found = Vec::new();
    if ask(message, |_| Some(()))?.is_some() {
        found.push(Variant::Nft);
    }
    if legacy::is_loaded(family, table) {
        found.push(Variant::Legacy);
    }
    Ok(found)
}

fn nft_forward_drops(family: Family) -> Result<bool> {
    const CHAIN: &str = "FORWARD";
    match nft_chain(family, Table::Filter, CHAIN)? {
        None => Ok(false),
        Some(Some(DROP)) => Ok(true),
        Some(_) => {
            let mut message = Message::new(subsystem::NFTABLES, GET_RULE, 0, number(family));
            message.text(RULE_TABLE, Table::Filter.name()).text(RULE_CHAIN, CHAIN);
            let rules = Socket::open()?.dump(&message, |rule, drops| drops.push(rule_drops(rule)))?;
            Ok(rules.contains(&true))
        }
    }
}

/// The chain's policy, if it exists and has one.
fn nft_chain(family: Family, table: Table, chain: &str) -> Result<Option<Option<u32>>> {
    let mut message = Message::new(subsystem::NFTABLES, GET_CHAIN, 0, number(family));
    message.text(CHAIN_TABLE, table.name()).text(CHAIN_NAME, chain);
    ask(message, |reply| Some(reply.attributes().find(CHAIN_POLICY).and_then(|policy| policy.be32())))
}

/// One object; nothing if it, or nf_tables itself, does not exist.
fn ask<T>(message: Message, read: impl Fn(&Reply<'_>) -> Option<T>) -> Result<Option<T>> {
    match Socket::open().and_then(|mut socket| socket.get(message, read)) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() || error.is_unsupported() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn rule_drops(rule: &Reply<'_>) -> bool {
    rule.attributes().inside(RULE_EXPRESSIONS).any(expression_drops)
}

/// iptables-nft writes DROP as a verdict, and REJECT, by its version, as its old target or the native one.
fn expression_drops(expression: Attribute<'_>) -> bool {
    let data = expression.nested().inside(EXPRESSION_DATA);
    match expression.nested().find(EXPRESSION_NAME).and_then(|name| name.text()) {
        Some("reject") => true,
        Some("target") => data.find(TARGET_NAME).and_then(|name| name.text()) == Some("REJECT"),
        Some("immediate") => {
            let verdict = data.inside(IMMEDIATE_DATA).inside(DATA_VERDICT);
            verdict.find(VERDICT_CODE).and_then(|code| code.be32()) == Some(DROP)
        }
        _ => false,
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => family::IPV4,
        Family::V6 => family::IPV6,
    }
}
