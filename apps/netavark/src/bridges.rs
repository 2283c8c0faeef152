//! Bridges come with their first container, and go with their last.

use std::fs::File;
use std::path::{Path, PathBuf};

use cni::NetworkName;
use cni_plugin::Undo;
use files::Folder;
use netlink::{Family, Link, LinkChange, LinkKind, Route, Socket, if_found, table};
use podman_network::{Bridge, Mode, Network};

use crate::error::{Error, told};

/// Who makes ports of bridges, and who removes bridges without ports.
#[derive(Debug, Clone)]
pub(crate) struct Bridges {
    folder: PathBuf,
}

impl Bridges {
    /// Those of all processes with this folder.
    pub(crate) fn new(config: &Path) -> Self {
        Self { folder: config.join("ferrocni") }
    }

    /// Keeps every bridge as long as the value lives, until a port keeps the one in question.
    pub(crate) fn keep(&self) -> Result<File, Error> {
        let folder = Folder::new(self.folder.clone(), 0);
        folder.lock_shared().map_err(|source| Error::File { action: "lock", path: self.folder.clone(), source })
    }

    /// Removes the bridge if it has no port and nobody is about to make one; true if there is no such bridge then.
    pub(crate) fn remove_unused(&self, bridge: &str) -> Result<bool, Error> {
        let folder = Folder::new(self.folder.clone(), 0);
        let lock = folder.lock().map_err(|source| Error::File { action: "lock", path: self.folder.clone(), source })?;
        let mut host = Socket::open()?;
        bridge::remove_unused(&mut host, bridge).map_err(told)?;
        let is_gone = if_found(host.link(bridge))?.is_none();
        drop(lock);
        Ok(is_gone)
    }

    /// Pushes that the bridge goes if it has no port then.
    pub(crate) fn undo(&self, bridge: &Bridge, undo: &mut Undo) {
        if bridge.mode == Mode::Managed {
            let (bridges, name) = (self.clone(), bridge.name.clone());
            undo.push(format!("remove bridge {name}"), move || bridges.remove_unused(name.as_str()).map(drop));
        }
    }
}

/// The MTU in bytes of a container's link on that bridge where the network says none: that of the bridge, or of the link of the default
/// route, through which packets leave. The administrator's bridge has to be there.
pub(crate) fn mtu(network: &Network, bridge: &Bridge) -> Result<Option<u32>, Error> {
    let mut host = Socket::open()?;
    match if_found(host.link(bridge.name.as_str()))? {
        Some(found) => Ok(Some(found.mtu)),
        None if bridge.mode == Mode::Unmanaged => {
            Err(Error::NoBridge { network: network.name.clone(), bridge: bridge.name.to_string() })
        }
        None => {
            let table = vrf(&mut host, &network.name, bridge)?.map_or(table::MAIN, |vrf| vrf.table);
            mtu_of_default_route(&mut host, table)
        }
    }
}

fn mtu_of_default_route(host: &mut Socket, table: u32) -> Result<Option<u32>, Error> {
    for family in [Family::V4, Family::V6] {
        let routes = host.routes(family, None, table)?;
        let best = routes.iter().filter(|route| route.is_default()).min_by_key(|route| route.priority.unwrap_or(0));
        if let Some(link) = best.and_then(|route: &Route| route.link) {
            return Ok(if_found(host.link(link))?.map(|link| link.mtu));
        }
    }
    Ok(None)
}

/// A VRF of the host.
struct Vrf {
    index: u32,
    table: u32,
}

/// The one that the bridge is to be in.
fn vrf(host: &mut Socket, network: &NetworkName, bridge: &Bridge) -> Result<Option<Vrf>, Error> {
    let Some(name) = &bridge.vrf else { return Ok(None) };
    match if_found(host.link(name.as_str()))? {
        Some(Link { index, options: Some(LinkKind::Vrf { table }), .. }) => Ok(Some(Vrf { index, table })),
        _ => Err(Error::NoVrf { network: network.clone(), vrf: name.to_string() }),
    }
}

/// Puts a bridge into its VRF, before it has any address: its routes belong there.
pub(crate) fn enter_vrf(link: &Link, network: &Network, bridge: &Bridge) -> Result<(), Error> {
    let mut host = Socket::open()?;
    match vrf(&mut host, &network.name, bridge)? {
        Some(vrf) if link.master != Some(vrf.index) => {
            Ok(host.change_link(link.index, &LinkChange { master: Some(vrf.index), ..LinkChange::default() })?)
        }
        _ => Ok(()),
    }
}
