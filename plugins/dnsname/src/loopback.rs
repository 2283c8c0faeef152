//! The container's `lo`, over which it asks the server. Runtimes set it up, people who make namespaces by hand do not.

use cni_plugin::{Attachment, Undo};
use container_interface::loopback;
use netlink::{Netns, Socket};
use suite::Labelled as _;

use crate::Error;

/// Sets `lo` up, and labels it, unless it is up.
pub(crate) fn set_up(netns: &Netns, attachment: &Attachment, undo: &mut Undo) -> Result<(), Error> {
    let mut inside = Socket::open_in(netns)?;
    let lo = inside.link(loopback::NAME)?;
    if lo.up {
        return Ok(());
    }
    Ok(loopback::set_up(&mut inside, Netns::open(netns.path())?, &lo, attachment, undo)?)
}

/// Sets `lo` down again, if its label says that it was set up for an interface of this container.
pub(crate) fn set_down(netns: &Netns, attachment: &Attachment) -> Result<(), Error> {
    let lo = Socket::open_in(netns)?.link(loopback::NAME)?;
    let holder = lo.alias.as_deref().and_then(Attachment::from_label);
    let is_ours = |holder: Attachment| {
        // With its own name it is the plugin loopback's.
        holder.container == attachment.container && holder.ifname.as_str() != loopback::NAME
    };
    if holder.is_some_and(is_ours) {
        loopback::set_down(Some(netns.path()), attachment)?;
    }
    Ok(())
}

/// For CHECK: `lo` is up.
pub(crate) fn check(netns: &Netns) -> Result<(), Error> {
    Ok(loopback::check(&Socket::open_in(netns)?.link(loopback::NAME)?)?)
}
