//! The host's end of the container's veth: what the container receives leaves it, and what it sends arrives there.

use std::path::Path;

use cni_plugin::{Attachment, Difference, Failures, IfName, Undo};
use container_interface::veth;
use netlink::{IngressFilter, Link, Netns, Socket, if_found};

use crate::Error;
use crate::config::Limits;
use crate::limit::{Limit, describe};

/// Finds it, whatever it is called.
pub(crate) fn find(host: &mut Socket, netns: &Path, ifname: &IfName) -> Result<Link, Error> {
    let netns = Netns::open(netns)?;
    let inside = Socket::open_in(&netns)?.link(ifname.as_str())?;
    if inside.kind.as_deref() != Some("veth") {
        let kind = inside.kind.unwrap_or_else(|| "device of the machine".to_owned());
        return Err(Error::NotAVeth { ifname: ifname.clone(), kind });
    }
    veth::other_end(host, &inside, &netns)?.ok_or_else(|| Error::NoHostEnd { ifname: ifname.clone() })
}

/// Limits what it sends, which is what the container receives.
pub(crate) fn limit(host: &mut Socket, end: &Link, limit: Limit, undo: &mut Undo) -> Result<(), Error> {
    let outcome = host.batch().limit_rate(end.index, &limit.bucket()).send();
    if outcome.as_ref().is_err_and(netlink::Error::is_exists) {
        return Err(occupied(end, "a queueing discipline", "root"));
    }
    // Also after any other failure: the kernel may have done it, and its answer was lost.
    let made = end.clone();
    undo.push(format!("take the limit of link {} away", end.name), move || {
        take_limit(&mut Socket::open()?, &made, limit)
    });
    Ok(outcome?)
}

/// Hands what it receives, which is what the container sends, to the link with index `to`.
pub(crate) fn redirect(host: &mut Socket, end: &Link, to: u32, undo: &mut Undo) -> Result<(), Error> {
    // In a request of its own: the kernel would go on to the filter, and add it to another program's discipline.
    let outcome = host.batch().add_ingress(end.index).send();
    let has_one = outcome.as_ref().is_err_and(netlink::Error::is_exists);
    if has_one && !has_guard_alone(host, end)? {
        return Err(occupied(end, "an ingress discipline", "ingress"));
    }
    let index = end.index;
    undo.push(format!("take the redirection of link {} away", end.name), move || {
        take_redirection(&mut Socket::open()?, index, &[to])
    });
    if !has_one {
        outcome?;
    }
    Ok(host.batch().redirect_ingress(end.index, to).send()?)
}

/// For DEL: takes away what the host's end was given, if its name is the one that the plugins of this suite give it. Any other
/// goes with its disciplines, when the interface's own plugin deletes it.
pub(crate) fn release(
    host: &mut Socket,
    attachment: &Attachment,
    limits: Limits,
    ifbs: &[Link],
) -> Result<(), cni_plugin::Error> {
    let end = if_found(host.link(veth::host_name(attachment).as_str())).map_err(Error::from)?;
    let Some(end) = end else { return Ok(()) };
    let mut failures = Failures::new();
    if let Some(limit) = limits.ingress {
        failures.note(take_limit(host, &end, limit).map_err(Error::from));
    }
    if !ifbs.is_empty() {
        let ifbs: Vec<u32> = ifbs.iter().map(|ifb| ifb.index).collect();
        failures.note(take_redirection(host, end.index, &ifbs).map_err(Error::from));
    }
    failures.into_result()
}

/// Another limit is not ours.
fn take_limit(host: &mut Socket, end: &Link, limit: Limit) -> netlink::Result<()> {
    match host.token_bucket(end.index)? {
        Some(found) if limit.is_on(end, &found) => if_found(host.batch().remove_limit(end.index).send()).map(drop),
        _ => Ok(()),
    }
}

/// With what it hangs on, unless that has other filters. An ADD may have been killed before it added this one.
fn take_redirection(host: &mut Socket, end: u32, ifbs: &[u32]) -> netlink::Result<()> {
    let is_own = |filter: &IngressFilter| matches!(filter, IngressFilter::Redirection { to } if ifbs.contains(to));
    let filters = host.ingress_filters(end)?;
    let mut batch = host.batch();
    if filters.iter().all(is_own) {
        batch.remove_ingress(end);
    } else if filters.iter().any(is_own) {
        batch.remove_redirection(end);
    } else {
        return Ok(());
    }
    if_found(batch.send()).map(drop)
}

/// What portmap puts there, so that nobody reaches the host's loopback addresses: it leaves room.
fn has_guard_alone(host: &mut Socket, end: &Link) -> netlink::Result<bool> {
    Ok(matches!(host.ingress_filters(end.index)?[..], [IngressFilter::LoopbackGuard { .. }]))
}

fn occupied(end: &Link, what: &'static str, handle: &'static str) -> Error {
    Error::Occupied { link: end.name.clone(), what, handle }
}

/// For CHECK: a link, the host's end or the one that it hands over to, has its limit.
pub(crate) fn check_limit(host: &mut Socket, link: &Link, limit: Limit) -> Result<(), Error> {
    let found = host.token_bucket(link.index)?;
    if found.is_some_and(|found| limit.is_on(link, &found)) {
        return Ok(());
    }
    let found = found.map_or_else(|| "none".to_owned(), |found| describe(&found));
    Err(Difference::new(format!("limit of link {} on the host", link.name), limit.raised_for(link), found).into())
}
