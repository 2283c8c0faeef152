//! Attachments of other CNI networks that use the same overlay network: reservations do not say of which they are.

use std::collections::BTreeSet;

use cni_plugin::{Attachment, ContainerId, IfName, NetworkName};
use netlink::Socket;
use suite::Labelled as _;

use crate::Error;

/// The containers' interfaces that links of this host belong to, by their labels, in other networks than this.
pub(crate) fn attached(network: &NetworkName) -> Result<BTreeSet<(ContainerId, IfName)>, Error> {
    let links = Socket::open()?.links()?;
    let holders = links.iter().filter_map(|link| Attachment::split_label(link.alias.as_deref()?));
    let others = holders.map(|(holder, _)| holder).filter(|holder| holder.network != *network);
    Ok(others.map(|holder| (holder.container, holder.ifname)).collect())
}
