//! Bridges that come before their first container, and go with their last: for who decides about them apart from ADD and DEL.

use netlink::{Link, LinkKind, Socket, if_found};

use crate::{Config, Error, link, vlan_gateway};

/// The network's bridge, up: found, or made.
///
/// # Errors
/// There is something else of its name, or the kernel's refusal.
pub fn ensure(host: &mut Socket, config: &Config) -> Result<Link, Error> {
    link::ensure(host, config)
}

/// Removes the bridge of that name, with its links into VLANs, if it has no port besides. One that is not there, or is no bridge, is
/// left alone.
///
/// Whoever makes ports of it at the same time has to be kept from it: the kernel removes a bridge with its ports.
///
/// # Errors
/// The kernel's refusal.
pub fn remove_unused(host: &mut Socket, name: &str) -> Result<(), Error> {
    let Some(bridge) = if_found(host.link(name))?.filter(|link| link.kind.as_deref() == Some("bridge")) else {
        return Ok(());
    };
    if has_live_container(&bridge) {
        return Ok(());
    }
    let ports = host.links_with_master(bridge.index)?;
    if !ports.iter().all(vlan_gateway::is_port_of_one) {
        return Ok(());
    }
    for link in ports.iter().chain([&bridge]) {
        if_found(host.delete_link(link.index))?;
    }
    Ok(())
}

/// The kernel looks at all links of the host to list a bridge's ports. A bridge that works has a port that does, and without VLANs none
/// is the host's own.
fn has_live_container(bridge: &Link) -> bool {
    bridge.carrier
        && bridge.operational
        && matches!(bridge.options, Some(LinkKind::Bridge { vlan_filtering: false, .. }))
}
