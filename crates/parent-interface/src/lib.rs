//! The interface that a container's sits on (`master`): found, or made for an IEEE 802.1Q tag and shared.
//!
//! A [`Master`] is what a network's configuration says: a link's name, none (the link of the default route), or a NIC and
//! a tag, as `eth0.20`. If there is no link `eth0.20`, the first attachment has it made, and the last one takes it away.
//! What an administrator made is used, and never changed or removed.
//!
//! Who uses a link cannot be read from the kernel, because the users are in other namespaces. So each attachment holds a
//! link that we made by a file of its own, /run/ferrocni/parents/`<link>`/`<network>:<container>:<interface>`, written
//! before the link is made and removed before it goes. A lock on the folder puts networks that race for the same link in
//! order; a reboot takes links and files alike. A link that was made a port of a bridge, also by an administrator, is held in the same
//! way, and a file beside says of which: see [`Ports`]. Where the kernel wants all who sit on a link to be alike, they hold it in
//! the same way, and the file says on which terms: an [`Agreement`].

mod agreement;
mod error;
mod holders;
mod lifecycle;
mod master;
mod ports;
mod tag;
mod tagged;

pub use agreement::Agreement;
pub use error::Error;
pub use lifecycle::{del, gc};
pub use master::{Master, name_or_none, tag_in};
pub use ports::{Place, Ports};
pub use tag::VlanId;

use cni_plugin::Attachment;
use holders::Holders;
use netlink::{Link, LinkKind, Socket};

/// The smallest MTU of an Ethernet link, in bytes (`ETH_MIN_MTU`, include/uapi/linux/if_ether.h).
const MIN_MTU: u32 = 68;

/// The MTU to set, in bytes, on a link that sits on `parent`: the one that is asked for, where 0 is the parent's own, which is
/// also the largest.
///
/// # Errors
/// [`Error::Mtu`] if the link cannot have it.
pub fn mtu_on(parent: &Link, asked: u32) -> Result<Option<u32>, Error> {
    match asked {
        0 => Ok(None),
        mtu if (MIN_MTU..=parent.mtu).contains(&mtu) => Ok(Some(mtu)),
        mtu => Err(Error::Mtu { mtu, parent: parent.name.clone(), smallest: MIN_MTU, largest: parent.mtu }),
    }
}

/// For STATUS: a link of `kind` could be made on `parent`, as far as that is known.
///
/// # Errors
/// [`Error::NoSupport`], [`Error::NotEthernet`], [`Error::Busy`].
pub fn probe_on(socket: &mut Socket, parent: Option<&Link>, kind: LinkKind) -> Result<(), Error> {
    if !socket.knows(kind)? {
        return Err(Error::NoSupport { kind: kind.name() });
    }
    match parent {
        Some(parent) if !parent.ethernet => Err(Error::NotEthernet { parent: parent.name.clone(), kind: kind.name() }),
        // What has a tag passes a bridge by.
        Some(parent) if parent.bridge_port.is_some() && !matches!(kind, LinkKind::Vlan { .. }) => {
            Err(Error::Busy { parent: parent.name.clone(), kind: kind.name(), source: None })
        }
        _ => Ok(()),
    }
}

/// The links that attachments hold, each with all that hold it.
///
/// # Errors
/// When the files cannot be read.
pub fn held() -> Result<Vec<(String, Vec<Attachment>)>, Error> {
    let Some(holders) = Holders::lock_existing()? else { return Ok(Vec::new()) };
    holders.links()?.into_iter().map(|link| Ok((link.clone(), holders.of_link(&link)?))).collect()
}

/// For DEL: lets go of the link that [`Master::attach`] made or that is one of the [`Ports`], and removes it, or takes it out of
/// its bridge, if no other holds it; leaves its [`Agreement`]. Nothing to let go of is success.
///
/// # Errors
/// When the files cannot be read or changed, or the kernel refuses to remove the link.
pub fn detach(attachment: &Attachment) -> Result<(), Error> {
    release(|holders, link| holders.let_go(link, attachment))
}

/// For GC: the same for all attachments that `is_stale` says.
///
/// # Errors
/// As [`detach`].
pub fn detach_stale(is_stale: impl Fn(&Attachment) -> bool) -> Result<(), Error> {
    release(|holders, link| holders.let_go_stale(link, &is_stale))
}

/// `let_go` tells of each link whether it is held still.
fn release(let_go: impl Fn(&Holders, &str) -> Result<bool, Error>) -> Result<(), Error> {
    // Nearly every host: no link was ever made.
    let Some(holders) = Holders::lock_existing()? else { return Ok(()) };
    let mut outcome = Ok(());
    for link in holders.links()? {
        outcome = outcome.and(release_one(&holders, &link, &let_go));
    }
    outcome
}

fn release_one(
    holders: &Holders,
    link: &str,
    let_go: impl Fn(&Holders, &str) -> Result<bool, Error>,
) -> Result<(), Error> {
    if let_go(holders, link)? {
        return Ok(());
    }
    // Also if it was not held before: a process that let go of it may have been killed just here.
    tagged::remove(link)?;
    ports::take_out(holders, link)?;
    holders.forget(link)
}
