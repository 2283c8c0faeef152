//! Getting past iptables: as the backend, or because the host's own FORWARD chain would drop what containers send, or because
//! the administrator wrote rules for containers there.
//!
//! nftables cannot help there: a packet has to pass every table, and one that drops is enough. Docker sets the policy of
//! FORWARD to DROP, and several distributions end the chain with a REJECT.

use cni_plugin::Undo;
use ipnetwork::IpNetwork;
use iptables::firewall::Firewall as Accept;
use iptables::isolation::{Isolation, Policy};
use iptables::{Chain, Family, Interface, Variant};
use netlink::{Link, Socket};
use suite::Labelled as _;

use crate::Error;
use crate::config::{Backend, IngressPolicy};
use crate::host::{self, Host};
use crate::member::Member;

/// Accepts the container's traffic in every iptables that would drop it.
pub(crate) fn accept(member: &Member<'_>, backend: Backend, host: &Host, undo: &mut Undo) -> Result<(), Error> {
    let variants = variants(member, backend, |family, admin| host.iptables_in_the_way(family, admin))?;
    if !variants.is_empty() {
        let (addresses, label) = (member.addresses.clone(), member.attachment.label());
        undo.push("remove the iptables rules", move || {
            withdraw(&addresses)?;
            open_unused_bridges(|holder| holder == label)
        });
    }
    with_rules(member, backend, &variants, iptables::firewall::add)
}

/// For CHECK: the rules are where they are needed, also if the need arose after ADD.
pub(crate) fn check(member: &Member<'_>, backend: Backend) -> Result<(), Error> {
    let variants = variants(member, backend, host::iptables_surely_in_the_way)?;
    with_rules(member, backend, &variants, iptables::firewall::check)
}

/// For CHECK: whether the reference lets the container's traffic through, as it did before this suite was installed. It has no
/// rule for published ports; where there is one, the rules are ours.
pub(crate) fn is_left_to_the_reference(member: &Member<'_>) -> bool {
    let has_rules = |check| with_rules(member, Backend::Iptables, &[Variant::Default], check).is_ok();
    let reference =
        |rules: &Accept<'_>, variant| iptables::firewall::check(&Accept { published: false, ..rules.clone() }, variant);
    has_rules(reference) && !has_rules(iptables::firewall::check)
}

/// Removes whatever iptables says about these addresses; without our chain there is nothing, and nothing is run.
pub(crate) fn withdraw(addresses: &[IpNetwork]) -> Result<(), Error> {
    Ok(iptables::firewall::remove(addresses)?)
}

/// Removes iptables' isolation of bridges that have no ports but those whose labels are `gone`. A port without a label counts:
/// the Go suite's containers stay isolated.
pub(crate) fn open_unused_bridges(gone: impl Fn(&str) -> bool) -> Result<(), Error> {
    let stays = |link: &Link| !link.alias.as_deref().is_some_and(&gone);
    let is_used = |bridge: &str| match users(bridge) {
        Ok(users) => users.iter().any(stays),
        Err(error) => !error.is_not_found(),
    };
    Ok(iptables::isolation::remove_unused(is_used)?)
}

/// The ports of a bridge; of one that is known by the host's link into a VLAN, those that lead into containers. Any other link
/// stands for itself: it is one container's own, as in a ptp network.
fn users(name: &str) -> netlink::Result<Vec<Link>> {
    let mut socket = Socket::open()?;
    let link = socket.link(name)?;
    if link.kind.as_deref() == Some("bridge") {
        return socket.links_with_master(link.index);
    }
    let Some(bridge) = nftables::bridge_of_vlan(name) else { return Ok(vec![link]) };
    let bridge = socket.link(bridge)?;
    let ports = socket.links_with_master(bridge.index)?;
    Ok(ports.into_iter().filter(|port| port.peer_netns_id.is_some()).collect())
}

/// For STATUS: if iptables is in the way, there is a program to get past it.
pub(crate) fn probe() -> Result<(), Error> {
    let blocked = !iptables::forward_drops(Family::V4)?.is_empty() || !iptables::forward_drops(Family::V6)?.is_empty();
    if blocked { Ok(iptables::probe()?) } else { Ok(()) }
}

/// The iptables that need rules: the one asked for, or those that are `in_the_way`.
fn variants(
    member: &Member<'_>,
    backend: Backend,
    in_the_way: impl Fn(Family, &Chain) -> Result<Vec<Variant>, Error>,
) -> Result<Vec<Variant>, Error> {
    if backend == Backend::Iptables {
        return Ok(vec![Variant::Default]);
    }
    let mut variants = Vec::new();
    for family in [Family::V4, Family::V6] {
        if member.addresses.iter().any(|address| Family::of(address.ip()) == family) {
            for variant in in_the_way(family, &member.config.iptables_admin_chain_name)? {
                if !variants.contains(&variant) {
                    variants.push(variant);
                }
            }
        }
    }
    Ok(variants)
}

fn with_rules(
    member: &Member<'_>,
    backend: Backend,
    variants: &[Variant],
    act: fn(&Accept<'_>, Variant) -> iptables::Result<()>,
) -> Result<(), Error> {
    if variants.is_empty() {
        return Ok(());
    }
    let policy = match member.policy() {
        _ if backend != Backend::Iptables => None,
        IngressPolicy::Open => None,
        IngressPolicy::SameBridge => Some(Policy::SameBridge),
        IngressPolicy::Isolated => Some(Policy::Isolated),
    };
    let bridge = member.bridge.map(Interface::new).transpose()?;
    let rules = Accept {
        addresses: &member.addresses,
        admin: member.config.iptables_admin_chain_name.clone(),
        published: true,
        isolation: policy.zip(bridge.as_ref()).map(|(policy, bridge)| Isolation { bridge, policy }),
    };
    for variant in variants {
        act(&rules, *variant)?;
    }
    Ok(())
}
