//! The container's network namespace.

use std::path::Path;

use container_interface::loopback;
use netlink::{LinkChange, Netns, Socket};

use crate::error::Error;

/// The container's namespace, which is not the host's.
pub(crate) fn open(path: &Path) -> Result<Netns, Error> {
    let netns = Netns::open(path)?;
    if netns == Netns::current()? {
        return Err(Error::HostNamespace { path: path.to_owned() });
    }
    Ok(netns)
}

/// Sets the container's `lo` up.
pub(crate) fn set_loopback_up(netns: &Netns) -> Result<(), Error> {
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    Ok(Socket::open_in(netns)?.change_link(loopback::NAME, &up)?)
}
