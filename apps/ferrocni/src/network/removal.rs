//! What goes with a network.

use std::path::Path;

use cni::json;
use cni_runtime::Network;
use netlink::{LinkKind, Socket, if_found};

use super::{Description, PODMAN, Registry, bridge_name, cluster};
use crate::attachments::{Connection, Connections};
use crate::failure::{Failure, line};
use crate::host::Host;
use crate::output::complain;

/// The exit status of a network that is in use, as Podman has it.
pub(super) const IN_USE: u8 = 2;

/// Removes networks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal<'a> {
    pub(crate) host: &'a Host,
    /// Also if its plugins fail, and the first one of the folder.
    pub(crate) force: bool,
}

/// A network that stays.
#[derive(Debug, thiserror::Error)]
enum RemovalError {
    #[error("network {0} is there on every host and cannot be removed")]
    BuiltIn(String),
    #[error(
        "network {0} has no file that could be removed: it is Podman's default, there for every container that names no other"
    )]
    Podmans(&'static str),
    #[error("network {name} is in use by {}: disconnect or stop {}", containers.join(", "), if containers.len() == 1 { "it" } else { "them" })]
    InUse { name: String, containers: Vec<String> },
    #[error(
        "network {0} is the first one of its folder, which Kubernetes' runtimes give to their pods: \
         `ferrocni network rm --force {0}` removes it"
    )]
    First(String),
}

impl RemovalError {
    fn without_file(name: String) -> Self {
        if name == PODMAN { Self::Podmans(PODMAN) } else { Self::BuiltIn(name) }
    }
}

impl Removal<'_> {
    /// Removes what the dead have left, the file, and the bridge.
    pub(crate) fn of(self, network: &Network) -> Result<(), Failure> {
        let described = Description::of(network);
        let Some(file) = &described.file else { return Err(RemovalError::without_file(described.name).into()) };
        let registry = Registry::lock(self.host.folder(), &self.host.state(""))?;
        if !self.force && !described.is_created() && is_first(self.host, network)? {
            return Err(RemovalError::First(described.name).into());
        }
        let (living, dead) = connections(self.host, network)?;
        if !living.is_empty() {
            let containers = living.into_iter().map(|connection| connection.name).collect();
            return Err(Failure::from(RemovalError::InUse { name: described.name, containers }).with_status(IN_USE));
        }
        self.tolerate(dead.iter().try_for_each(|connection| connection.sweep(self.host, network)))?;
        if described.is_overlay() {
            self.tolerate(cluster::remove(network))?;
        }
        // Nothing is connected any more, so that only garbage can stay where a plugin knows no GC.
        if let Err(error) = self.host.runtime().gc(network, &[]) {
            complain(line(&error));
        }
        registry.remove(file)?;
        forget_reservations(network)?;
        remove_bridge(&described)
    }

    fn tolerate(self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        match outcome {
            Err(failure) if self.force => {
                complain(failure);
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Whether a container is connected to the network.
pub(crate) fn is_in_use(host: &Host, network: &Network) -> Result<bool, Failure> {
    Ok(!connections(host, network)?.0.is_empty())
}

/// Those that are there, and those that are left of what is gone.
fn connections(host: &Host, network: &Network) -> Result<(Vec<Connection>, Vec<Connection>), Failure> {
    let (mut living, mut dead) = (Vec::new(), Vec::new());
    for connection in Connections::of_network(host, network.name())? {
        if connection.is_alive()? { living.push(connection) } else { dead.push(connection) }
    }
    Ok((living, dead))
}

fn is_first(host: &Host, network: &Network) -> Result<bool, Failure> {
    let networks = host.networks()?;
    let of_folder = networks.networks.iter().filter_map(|network| network.path.as_ref());
    let mut at_top = of_folder.filter(|path| path.parent() == Some(host.folder()));
    Ok(at_top.next() == network.path.as_ref() && at_top.next().is_some())
}

/// The folder in which host-local has kept the network's addresses, which are all free by now.
fn forget_reservations(network: &Network) -> Result<(), Failure> {
    let ipam = network.list.plugins.first().and_then(|plugin| json::get(&plugin.keys, "ipam"));
    let key = |key| ipam.and_then(|ipam| json::get(ipam, key)).and_then(serde_json::Value::as_str);
    if key("type") != Some("host-local") {
        return Ok(());
    }
    let folder = key("dataDir").filter(|folder| !folder.is_empty()).unwrap_or(host_local::DEFAULT_DATA_DIR);
    Ok(host_local::Store::forget(Path::new(folder), network.name())?)
}

/// A bridge that the network's first container had made; one that an administrator made stays, as do those with ports.
fn remove_bridge(network: &Description) -> Result<(), Failure> {
    let (true, Some(name)) = (network.driver == "bridge", &network.interface) else { return Ok(()) };
    let mut host = Socket::open()?;
    let Some(link) = if_found(host.link(name.as_str()))? else { return Ok(()) };
    let is_ours = link.alias.as_deref() == Some(suite::BRIDGE) || *name == bridge_name(&network.id);
    let is_bridge = matches!(link.options, Some(LinkKind::Bridge { .. })) || link.kind.as_deref() == Some("bridge");
    if is_ours && is_bridge && host.links_with_master(link.index)?.is_empty() {
        if_found(host.delete_link(link.index))?;
    }
    Ok(())
}
