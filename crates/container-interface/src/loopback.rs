//! `lo`, which every network namespace has from the start, down.

use std::path::Path;

use cni_plugin::{AddResult, Attachment, IpConfig, Undo};
use netlink::{Link, LinkChange, Netns, Socket};
use suite::Labelled as _;

use crate::{Error, link};

/// Its name.
pub const NAME: &str = "lo";

/// Sets a container's `lo` up, and labels it, so that DEL knows the container again. An alias that is no label
/// is not ours, and stays.
///
/// # Errors
/// The kernel's refusal.
pub fn set_up(
    inside: &mut Socket,
    netns: Netns,
    lo: &Link,
    attachment: &Attachment,
    undo: &mut Undo,
) -> Result<(), Error> {
    let label = can_be_labelled(lo).then(|| attachment.label());
    let (index, was_up) = (lo.index, lo.up);
    let earlier = label.is_some().then(|| lo.alias.clone().unwrap_or_default());
    // First, for the kernel may do it and its answer get lost.
    undo.push("set lo back to what it was", move || {
        set(&mut Socket::open_in(&netns)?, index, was_up, earlier.as_deref())
    });
    set(inside, index, true, label.as_deref())
}

/// For DEL: sets `lo` down, if there still is a container, and the namespace is not another one's by now.
///
/// # Errors
/// When the namespace is there, but cannot be entered, or the kernel refuses.
pub fn set_down(netns: Option<&Path>, attachment: &Attachment) -> Result<(), Error> {
    let Some(mut inside) = link::enter(netns)? else { return Ok(()) };
    let lo = inside.link(NAME)?;
    if holder(&lo).is_some_and(|holder| holder.container != attachment.container) {
        return Ok(());
    }
    set(&mut inside, lo.index, false, can_be_labelled(&lo).then_some(""))
}

/// Every attachment of a container has the same `lo`: the last ADD's label counts.
fn holder(lo: &Link) -> Option<Attachment> {
    lo.alias.as_deref().and_then(Attachment::from_label)
}

fn can_be_labelled(lo: &Link) -> bool {
    lo.alias.is_none() || holder(lo).is_some()
}

fn set(inside: &mut Socket, lo: u32, up: bool, alias: Option<&str>) -> Result<(), Error> {
    Ok(inside.change_link(lo, &LinkChange { up: Some(up), alias, ..LinkChange::default() })?)
}

/// What an ADD reports: `lo` and its addresses, as the kernel gave them.
///
/// # Errors
/// The kernel's refusal.
pub fn describe(inside: &mut Socket, lo: &Link, sandbox: &Path) -> Result<AddResult, Error> {
    let addresses = inside.addresses(lo.index)?;
    let ips = addresses.iter().map(|address| IpConfig::new(address.network, None).on(0)).collect();
    Ok(AddResult::default().with_interfaces(vec![link::describe(lo, sandbox)]).with_ips(ips))
}

/// For CHECK: `lo` is up.
///
/// # Errors
/// [`Error::Differs`] if it is not.
pub fn check(lo: &Link) -> Result<(), Error> {
    if lo.up {
        return Ok(());
    }
    Err(Error::differs("state", &NAME, "up", "down"))
}
