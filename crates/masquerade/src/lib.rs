//! Masquerade: what a container sends out of its subnet leaves under the host's address.
//!
//! Two backends do it: elements of ferrocni's nftables ruleset, or the Go suite's iptables rules. An interface plugin says
//! in [`Rules`] what an attachment is to have, together with the elements that it needs for itself, so that all of them
//! are one transaction; [`remove`] and [`collect`] take away what either backend made, also the reference's.

mod error;
mod rules;

use std::collections::BTreeSet;

use cni_plugin::{Attachment, Gc};
use ipnetwork::IpNetwork;
use iptables::Variant;
use iptables::masquerade as by_iptables;
use nftables::{Element, Part, Ruleset, reference};
use serde::Deserialize;
use suite::Labelled as _;

pub use error::Error;
pub use rules::Rules;

/// What rewrites the source of packets that leave the network: the key `ipMasqBackend`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// An element for each address.
    #[default]
    Nftables,
    /// A chain for each container, as the Go suite has it.
    Iptables,
}

/// The elements by which addresses, given with their subnets' prefix lengths, are masqueraded.
pub fn elements(addresses: impl IntoIterator<Item = IpNetwork>) -> impl Iterator<Item = Element> {
    addresses.into_iter().map(|address| Element::Masquerade { address: address.ip(), subnet: address })
}

/// Removes an attachment's rules, whichever backend made them, the Go suite's too: the elements that are `known`, if the result of ADD tells
/// which ones it can have, otherwise all with its label in these parts of the ruleset.
///
/// # Errors
/// Those of either backend; the other one has been tried nevertheless.
pub fn remove(attachment: &Attachment, parts: &[Part], known: Option<&[Element]>) -> Result<(), Error> {
    let label = attachment.label();
    let removed = by_iptables::remove(attachment.network.as_str(), attachment.container.as_str());
    let removed_there = reference::remove_masquerade(attachment);
    let mut ruleset = Ruleset::open()?;
    match known {
        Some(elements) => ruleset.remove(&label, elements)?,
        None => ruleset.remove_where(parts, |holder| holder == label)?,
    };
    removed_there?;
    Ok(removed?)
}

/// Removes the rules of attachments that are no longer valid.
///
/// # Errors
/// Those of either backend; the other one has been tried nevertheless.
pub fn collect<C>(request: &Gc<C>, parts: &[Part]) -> Result<(), Error> {
    let valid: Vec<&str> = request.valid.iter().map(|attachment| attachment.container.as_str()).collect();
    let removed = by_iptables::collect_garbage(request.network.name.as_str(), &valid);
    let removed_there = reference::collect_masquerade(request.network.name.as_str(), &request.valid);
    let mut ruleset = Ruleset::open()?;
    ruleset.remove_where(parts, |holder| suite::is_stale(request, holder))?;
    removed_there?;
    Ok(removed?)
}

/// Before the reference suite takes over: whoever is masqueraded by elements keeps these, and gets what that suite's DEL needs in order
/// not to fail.
///
/// # Errors
/// Those of either backend. Without iptables that suite cannot masquerade, and its DEL fails whatever is done here.
pub fn hand_over() -> Result<(), Error> {
    let holdings = Ruleset::open()?.holdings(&[Part::Masquerade])?;
    let holders: BTreeSet<_> = holdings.iter().filter_map(|held| Attachment::from_label(&held.label)).collect();
    let names: Vec<_> = holders.iter().map(|holder| (holder.network.as_str(), holder.container.as_str())).collect();
    match by_iptables::add_empty_chains(&names, Variant::Default) {
        Err(error) if error.is_not_installed() => Ok(()),
        done => Ok(done?),
    }
}

/// For STATUS: the backend, if there is to be one, can take the rules that an ADD would need.
///
/// # Errors
/// Why it cannot.
pub fn probe(backend: Option<Backend>) -> Result<(), Error> {
    match backend {
        Some(Backend::Nftables) => Ok(Ruleset::probe()?),
        Some(Backend::Iptables) => Ok(iptables::probe()?),
        None => Ok(()),
    }
}
