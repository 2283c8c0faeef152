//! `lo`, which every network namespace has from its creation, and which is down at first.

use std::path::Path;

use cni_plugin::{AddResult, Attachment, IpConfig, Undo};
use netlink::{Link, LinkChange, Netns, Socket};
use suite::Labelled as _;

use crate::{Error, link};

/// The loopback interface's name, the same in every namespace.
pub const NAME: &str = "lo";

/// Sets a container's `lo` up and labels it, so that DEL can recognize the container. An alias that is not a label is left
/// alone.
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
    // Before the change: the kernel may carry it out, and its answer may still be lost.
    undo.push("set lo back to what it was", move || {
        set(&mut Socket::open_in(&netns)?, index, was_up, earlier.as_deref())
    });
    set(inside, index, true, label.as_deref())
}

/// For DEL: sets `lo` down, if the container still exists and the namespace does not belong to another one by now.
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

/// The attachment whose label `lo` has. All attachments of a container share `lo`, so it is the label of the last ADD.
fn holder(lo: &Link) -> Option<Attachment> {
    lo.alias.as_deref().and_then(Attachment::from_label)
}

fn can_be_labelled(lo: &Link) -> bool {
    lo.alias.is_none() || holder(lo).is_some()
}

fn set(inside: &mut Socket, lo: u32, up: bool, alias: Option<&str>) -> Result<(), Error> {
    Ok(inside.change_link(lo, &LinkChange { up: Some(up), alias, ..LinkChange::default() })?)
}

/// The result of an ADD: `lo` and the addresses that it has.
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
