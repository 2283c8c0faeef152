//! `lo`, which every network namespace has from the start, down.

use std::path::Path;

use cni_plugin::{AddResult, IfName, IpConfig, Undo};
use netlink::{Link, LinkChange, Netns, Socket};

use crate::{Error, link};

/// Its name.
pub const NAME: &str = "lo";

/// Sets a container's `lo` up, unless it is up already.
///
/// # Errors
/// The kernel's refusal.
pub fn set_up(inside: &mut Socket, netns: Netns, lo: &Link, undo: &mut Undo) -> Result<(), Error> {
    if lo.up {
        return Ok(());
    }
    let index = lo.index;
    // First, for the kernel may do it and its answer get lost.
    undo.push("set lo down", move || set(&mut Socket::open_in(&netns)?, index, false));
    set(inside, index, true)
}

/// For DEL: sets `lo` down, if there still is a container.
///
/// # Errors
/// When the namespace is there, but cannot be entered, or the kernel refuses.
pub fn set_down(netns: Option<&Path>) -> Result<(), Error> {
    let Some(mut inside) = link::enter(netns)? else { return Ok(()) };
    let lo = inside.link(NAME)?;
    set(&mut inside, lo.index, false)
}

fn set(inside: &mut Socket, lo: u32, up: bool) -> Result<(), Error> {
    Ok(inside.change_link(lo, &LinkChange { up: Some(up), ..LinkChange::default() })?)
}

/// What an ADD reports: `lo` and its addresses, as the kernel gave them.
///
/// # Errors
/// The kernel's refusal.
pub fn describe(inside: &mut Socket, lo: &Link, sandbox: &Path) -> Result<AddResult, Error> {
    let addresses = inside.addresses(lo.index)?;
    let ips = addresses
        .iter()
        .map(|address| IpConfig { interface: Some(0), address: address.network, gateway: None })
        .collect();
    Ok(AddResult { interfaces: vec![link::describe(lo, sandbox)], ips, ..AddResult::default() })
}

/// For CHECK: `lo` is up.
///
/// # Errors
/// [`Error::Differs`] if it is not.
///
/// # Panics
/// Never: `lo` is an interface's name.
pub fn check(lo: &Link) -> Result<(), Error> {
    if lo.up {
        return Ok(());
    }
    let ifname = IfName::new(NAME).expect("an interface's name");
    Err(Error::Differs { what: "state", ifname, expected: "up".into(), found: "down".into() })
}
