//! What the Go suite keeps in nftables tables of its own: the check of source MAC addresses always, masquerade and published
//! ports where its recent releases find no iptables.
//!
//! Nothing here makes such rules. Containers attached before this suite was installed have them; they are recognised, and
//! removed with their container. The tables and their base chains stay, as they stay with the Go suite.

pub mod netavark;

use std::collections::BTreeSet;
use std::net::IpAddr;

use cni_plugin::Attachment;
use netlink::{Socket, if_found};
use nfnetlink::{Attributes, Batch, Message, subsystem};

use crate::connection::Connection;
use crate::object::{del_chain, del_rule, text_in};
use crate::ruleset::ATTEMPTS;
use crate::uapi::{cmp, comment, data, expression, immediate, rule, verdict};
use crate::{Element, Error, Family, Protocol, Result, Table};

const MASQUERADE: Table<'_> = Table { family: Family::Inet, name: "cni_plugins_masquerade" };
const MASQUERADE_CHAIN: &str = "masq_checks";

const GUARD: Table<'_> = Table { family: Family::Bridge, name: "nat" };
const GUARD_ENTRY: &str = "PREROUTING";
const GUARD_CHAIN: &str = "cni-br-iface-";

const PORTS: [Table<'_>; 2] =
    [Table { family: Family::Ip, name: "cni_hostport" }, Table { family: Family::Ip6, name: "cni_hostport" }];
const PORTS_CHAINS: [&str; 2] = ["hostports", "hostip_hostports"];
const PORTS_MASQUERADE_CHAIN: &str = "masquerading";

/// One rule, as far as it tells whose it is and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    chain: String,
    handle: u64,
    comment: String,
    /// The chain that it jumps to.
    target: Option<String>,
    /// What it compares with and loads, in order.
    values: Vec<Vec<u8>>,
}

impl Found {
    fn read(chain: &str, attributes: Attributes<'_>) -> Option<Self> {
        let userdata = attributes.find(rule::USERDATA).map(|found| found.value).unwrap_or_default();
        let expressions = attributes.inside(rule::EXPRESSIONS);
        Some(Self {
            chain: chain.to_owned(),
            handle: attributes.find(rule::HANDLE)?.be64()?,
            comment: text_in(userdata, comment::KIND).unwrap_or_default().to_owned(),
            target: { expressions }.find_map(|item| target(item.nested())),
            values: expressions.filter_map(|item| value(item.nested())).collect(),
        })
    }

    /// Where a rule for a published port leads, or whose packets one masquerades: the last address in it. nft merges
    /// comparisons of neighbours, here source and destination.
    fn address(&self, is_ipv4: bool) -> Option<IpAddr> {
        let last = |length| self.values.iter().rev().filter(move |value| [length, 2 * length].contains(&value.len()));
        if is_ipv4 {
            last(4).find_map(|value| value.last_chunk::<4>()).map(|bytes| IpAddr::from(*bytes))
        } else {
            last(16).find_map(|value| value.last_chunk::<16>()).map(|bytes| IpAddr::from(*bytes))
        }
    }

    /// Whether the rule leads connections to this port to that address and port.
    fn publishes(&self, host: Option<IpAddr>, protocol: Protocol, port: u16, to: (IpAddr, u16)) -> bool {
        let ports: Vec<&[u8]> = self.values.iter().map(Vec::as_slice).filter(|value| value.len() == 2).collect();
        let compares = |bytes: &[u8]| self.values.iter().any(|value| value == bytes);
        self.chain == if host.is_some() { PORTS_CHAINS[1] } else { PORTS_CHAINS[0] }
            && host.is_none_or(|host| compares(&octets(host)))
            && compares(&[protocol.number()])
            && ports == [port.to_be_bytes(), to.1.to_be_bytes()]
            && self.address(to.0.is_ipv4()) == Some(to.0)
    }

    /// Whether the rule is about frames of one port and the host has none of that name any more.
    fn is_of_a_port_that_is_gone(&self) -> Result<bool> {
        let name = self.values.first().and_then(|value| std::str::from_utf8(value).ok());
        let Some(name) = name.map(|name| name.trim_end_matches('\0')).filter(|name| !name.is_empty()) else {
            return Ok(false);
        };
        let link = Socket::open().and_then(|mut host| if_found(host.link(name)));
        let holder = || self.target.clone().unwrap_or_default();
        Ok(link.map_err(|source| Error::Holder { holder: holder(), source: Box::new(source) })?.is_none())
    }

    fn removal(&self, table: Table<'_>) -> Message {
        del_rule(table, &self.chain, self.handle)
    }
}

fn target(attributes: Attributes<'_>) -> Option<String> {
    let verdict = attributes.inside(expression::DATA).inside(immediate::DATA).inside(data::VERDICT);
    Some(verdict.find(verdict::CHAIN)?.text()?.to_owned())
}

fn value(attributes: Attributes<'_>) -> Option<Vec<u8>> {
    let inside = attributes.inside(expression::DATA);
    let held = match attributes.find(expression::NAME)?.text()? {
        "cmp" => inside.inside(cmp::DATA),
        "immediate" => inside.inside(immediate::DATA),
        _ => return None,
    };
    Some(held.find(data::VALUE)?.value.to_vec())
}

/// Whether the attachment's addresses are masqueraded. One rule is enough: a container with two addresses has no more, since
/// the Go suite takes the first one's rule for a stale one when it makes the second's.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses.
pub fn masquerades(attachment: &Attachment) -> Result<bool> {
    let whose = instance(attachment);
    let rules = rules(&mut Connection::open()?, MASQUERADE, MASQUERADE_CHAIN)?;
    Ok(rules.iter().any(|rule| rule.comment.starts_with(&whose)))
}

/// Removes the attachment's masquerade.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses; nothing has changed then. What is absent is not an error.
pub fn remove_masquerade(attachment: &Attachment) -> Result<()> {
    let whose = instance(attachment);
    remove_masquerade_where(|comment| comment.starts_with(&whose))
}

/// Removes the masquerade of the network's attachments that are not `valid`.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses; nothing has changed then. What is absent is not an error.
pub fn collect_masquerade(network: &str, valid: &[Attachment]) -> Result<()> {
    let network = format!("{}-", hash(network));
    let valid: Vec<String> = valid.iter().map(instance).collect();
    let is_valid = |comment: &str| valid.iter().any(|whose| comment.starts_with(whose));
    remove_masquerade_where(|comment| comment.starts_with(&network) && !is_valid(comment))
}

fn remove_masquerade_where(pick: impl Fn(&str) -> bool) -> Result<()> {
    remove(|connection| {
        let rules = rules(connection, MASQUERADE, MASQUERADE_CHAIN)?;
        let picked = rules.iter().filter(|rule| pick(&rule.comment));
        Ok(picked.map(|rule| rule.removal(MASQUERADE)).collect())
    })
}

/// Whether the attachment's port takes frames from `mac` only.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses.
pub fn guards(attachment: &Attachment, mac: [u8; 6]) -> Result<bool> {
    let [entered, compares] = guard_chains(attachment);
    let connection = &mut Connection::open()?;
    let leads = |rules: Vec<Found>, to: &str| rules.iter().any(|rule| rule.target.as_deref() == Some(to));
    Ok(leads(rules(connection, GUARD, GUARD_ENTRY)?, &entered)
        && leads(rules(connection, GUARD, &entered)?, &compares)
        && rules(connection, GUARD, &compares)?.iter().any(|rule| rule.values.contains(&mac.to_vec())))
}

/// Removes the check of the attachment's source MAC addresses.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses; nothing has changed then. What is absent is not an error.
pub fn remove_guard(attachment: &Attachment) -> Result<()> {
    let [entered, _] = guard_chains(attachment);
    remove(|connection| {
        if connection.table(GUARD)?.is_none() {
            return Ok(Vec::new());
        }
        let entries = rules(connection, GUARD, GUARD_ENTRY)?;
        let leading = entries.iter().filter(|rule| rule.target.as_ref() == Some(&entered));
        let mut messages: Vec<Message> = leading.map(|rule| rule.removal(GUARD)).collect();
        messages.extend(guard_chain_removals(connection, &entered)?);
        Ok(messages)
    })
}

/// Removes the checks of source MAC addresses whose ports are gone, unless they are of `valid` attachments. The names of their
/// chains do not say which network they belong to: as long as the port is there, the container may be attached.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses, [`Error::Holder`] if it cannot be told whether a port is gone; nothing has
/// changed then. What is absent is not an error.
pub fn collect_guards(valid: &[Attachment]) -> Result<()> {
    let valid: BTreeSet<String> = valid.iter().map(|attachment| guard_chains(attachment)[0].clone()).collect();
    remove(|connection| {
        let mut messages = Vec::new();
        for rule in rules(connection, GUARD, GUARD_ENTRY)? {
            let Some(chain) = rule.target.as_ref().filter(|chain| chain.starts_with(GUARD_CHAIN)) else { continue };
            if !valid.contains(chain) && rule.is_of_a_port_that_is_gone()? {
                messages.push(rule.removal(GUARD));
                messages.extend(guard_chain_removals(connection, chain)?);
            }
        }
        Ok(messages)
    })
}

fn guard_chain_removals(connection: &mut Connection, entered: &str) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    for chain in [entered, &format!("{entered}-mac")] {
        if connection.chain(GUARD, chain)?.is_some() {
            messages.push(del_chain(GUARD, chain));
        }
    }
    Ok(messages)
}

/// Whether each of `elements` that publishes a port of the container has a rule that does the same.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses.
pub fn publishes(container: &str, elements: &[Element]) -> Result<bool> {
    let mut connection = Connection::open()?;
    let [ipv4, ipv6] =
        [ports_of(&mut connection, PORTS[0], container)?, ports_of(&mut connection, PORTS[1], container)?];
    Ok(elements.iter().all(|element| match element {
        Element::Publish { host, protocol, port, to } => {
            let rules = if to.0.is_ipv4() { &ipv4 } else { &ipv6 };
            rules.iter().any(|rule| rule.publishes(*host, *protocol, *port, *to))
        }
        _ => true,
    }))
}

/// Removes the container's published ports: those that lead to its `addresses`, if they are known. The rules do not say which
/// network they belong to: where they lead to several addresses of a family and it is unknown which is the attachment's, they
/// stay.
///
/// # Errors
/// [`Error::Netlink`] if the kernel refuses; nothing has changed then. What is absent is not an error.
pub fn remove_ports(container: &str, addresses: Option<&[IpAddr]>) -> Result<()> {
    remove(|connection| {
        let mut messages = Vec::new();
        for table in PORTS {
            let is_ipv4 = table.family == Family::Ip;
            let own = ports_of(connection, table, container)?;
            let all: BTreeSet<IpAddr> = own.iter().filter_map(|rule| rule.address(is_ipv4)).collect();
            let goes = |address| addresses.map_or(all.len() == 1, |known| known.contains(&address));
            let going = own.iter().filter(|rule| rule.address(is_ipv4).is_some_and(goes));
            messages.extend(going.map(|rule| rule.removal(table)));
        }
        Ok(messages)
    })
}

fn ports_of(connection: &mut Connection, table: Table<'_>, container: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    if connection.table(table)?.is_some() {
        for chain in PORTS_CHAINS.into_iter().chain([PORTS_MASQUERADE_CHAIN]) {
            found.extend(rules(connection, table, chain)?);
        }
    }
    found.retain(|rule| rule.comment == container);
    Ok(found)
}

/// Commits the removals that `find` finds, provided that nothing changes between the look and the removal.
fn remove(find: impl Fn(&mut Connection) -> Result<Vec<Message>>) -> Result<()> {
    let mut connection = Connection::open()?;
    for _ in 0..ATTEMPTS {
        let generation = match connection.generation() {
            // A kernel without nf_tables holds nothing.
            Err(error) if error.is_unsupported() => return Ok(()),
            generation => generation?,
        };
        let mut batch = Batch::if_unchanged(subsystem::NFTABLES, generation);
        find(&mut connection)?.into_iter().for_each(|message| batch.push(message));
        if batch.is_empty() {
            return Ok(());
        }
        match connection.commit(batch) {
            Err(error) if error.is_restart() => {}
            outcome => return outcome.map_err(Error::doing("remove nftables rules of another program")),
        }
    }
    Err(Error::Contended(ATTEMPTS))
}

fn rules(connection: &mut Connection, table: Table<'_>, chain: &str) -> Result<Vec<Found>> {
    let found = connection.rules(table, chain, |attributes| Found::read(chain, attributes))?;
    Ok(found.into_iter().flatten().collect())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The start of an attachment's comments.
fn instance(Attachment { network, container, ifname }: &Attachment) -> String {
    format!("{}-{}", hash(network.as_str()), hash(&format!("{}:{}", ifname.as_str(), container.as_str())))
}

/// The chain that frames of the attachment's port enter, and the one that this leads to.
fn guard_chains(Attachment { container, ifname, .. }: &Attachment) -> [String; 2] {
    let entered = format!("{GUARD_CHAIN}{}-{}", container.as_str(), ifname.as_str());
    let compares = format!("{entered}-mac");
    [entered, compares]
}

/// The first sixteen hexadecimal digits of the SHA-512.
fn hash(text: &str) -> String {
    use sha2::{Digest, Sha512};

    let start = Sha512::digest(text).first_chunk::<8>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_start_of_the_sha_512() {
        // From `printf … | sha512sum`.
        assert_eq!(hash("testcontainer"), "41e5108bade89662");
        assert_eq!(hash("eth0:c1"), "f4d01f2ef4b92245");
    }
}
