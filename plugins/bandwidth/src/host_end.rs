//! The host's end of the container's veth: what the container receives leaves it, and what it sends arrives there.

use std::path::Path;

use cni_plugin::{Attachment, IfName, Undo};
use container_interface::veth;
use netlink::{Link, Netns, Socket, if_found};

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
    match host.batch().limit_rate(end.index, &limit.bucket()).send() {
        Err(error) if error.is_exists() => return Err(occupied(end, "a queueing discipline", "root")),
        outcome => outcome?,
    }
    let index = end.index;
    undo.push(format!("take the limit of link {} away", end.name), move || {
        if_found(Socket::open()?.batch().remove_limit(index).send()).map(drop)
    });
    Ok(())
}

/// Hands what it receives, which is what the container sends, to the link with index `to`.
pub(crate) fn redirect(host: &mut Socket, end: &Link, to: u32, undo: &mut Undo) -> Result<(), Error> {
    // By itself: the kernel would go on to the filter, and put it into somebody else's discipline.
    match host.batch().add_ingress(end.index).send() {
        Err(error) if error.is_exists() => return Err(occupied(end, "an ingress discipline", "ingress")),
        outcome => outcome?,
    }
    let index = end.index;
    undo.push(format!("take the ingress discipline of link {} away", end.name), move || {
        if_found(Socket::open()?.batch().remove_ingress(index).send()).map(drop)
    });
    Ok(host.batch().redirect_ingress(end.index, to).send()?)
}

/// For DEL: takes away what the host's end was given, if its name is the one that the plugins of this suite give it. Any other
/// goes with its disciplines, when the interface's own plugin deletes it.
pub(crate) fn release(host: &mut Socket, attachment: &Attachment, limits: Limits, ifbs: &[Link]) -> Result<(), Error> {
    let Some(end) = if_found(host.link(veth::host_name(attachment).as_str()))? else { return Ok(()) };
    let end = end.index;
    if let Some(limit) = limits.ingress
        && host.token_bucket(end)?.is_some_and(|found| limit.is(&found))
    {
        if_found(host.batch().remove_limit(end).send())?;
    }
    let is_known = |to: &u32| ifbs.iter().any(|ifb| ifb.index == *to);
    // An ADD that was killed may not have got as far as a filter.
    if !ifbs.is_empty() && host.ingress_redirections(end)?.iter().all(is_known) {
        if_found(host.batch().remove_ingress(end).send())?;
    }
    Ok(())
}

fn occupied(end: &Link, what: &'static str, handle: &'static str) -> Error {
    Error::Occupied { link: end.name.clone(), what, handle }
}

/// For CHECK: a link, the host's end or the one that it hands over to, has its limit.
pub(crate) fn check_limit(host: &mut Socket, link: &Link, limit: Limit) -> Result<(), Error> {
    let found = host.token_bucket(link.index)?;
    if found.is_some_and(|found| limit.is(&found)) {
        return Ok(());
    }
    Err(Error::Differs {
        what: format!("limit of link {} on the host", link.name),
        expected: limit.to_string(),
        found: found.map_or_else(|| "none".to_owned(), |found| describe(&found)),
    })
}
