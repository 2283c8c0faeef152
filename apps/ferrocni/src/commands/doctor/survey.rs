//! What is looked at: networks, attachments and links, read once.

use std::collections::BTreeSet;

use cni::{NetworkName, json};
use cni_runtime::{CacheError, ConfigError, Network, Runtime, Stderr};
use ip::Family;
use ipnetwork::IpNetwork;
use netlink::{Link, Socket, Statistics};
use serde_json::Value;

use crate::attachments::{Connection, Connections};
use crate::failure::Failure;
use crate::host::Host;
use crate::network::{Description, podman};

/// The state of a host.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    pub(crate) host: &'a Host,
    /// Its plugins' words are part of their errors.
    pub(crate) runtime: Runtime,
    pub(crate) networks: Vec<Known>,
    pub(crate) broken: Vec<ConfigError>,
    pub(crate) attached: Vec<Seen>,
    pub(crate) unreadable: Vec<CacheError>,
    pub(crate) links: Vec<(Link, Statistics)>,
    /// Everything was asked for.
    is_whole: bool,
}

/// A network with a file.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) network: Network,
    pub(crate) about: Description,
    /// It was asked for.
    pub(crate) wanted: bool,
}

/// A recorded attachment.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) connection: Connection,
    pub(crate) alive: bool,
    /// Why it cannot be told whether it lives; it counts as alive then, so that nothing of it is removed.
    pub(crate) unseen: Option<netlink::Error>,
    /// It was asked for.
    pub(crate) wanted: bool,
}

/// Neither a network nor a container.
#[derive(Debug, thiserror::Error)]
#[error("there is neither a network nor a container {0}: `ferrocni network ls` lists the networks")]
struct Unknown(String);

impl<'a> Survey<'a> {
    pub(crate) fn of(host: &'a Host) -> Result<Self, Failure> {
        // In this order: whose link is there is attached, or is about to be recorded.
        let links = Socket::open()?.links_with_statistics()?;
        let Connections { all, broken: unreadable } = Connections::of_host(host)?;
        let listed = host.networks()?;
        let labels: BTreeSet<_> = links.iter().filter_map(|(link, _)| label_of(link)).collect();
        let seen = |connection| see(connection, &labels);
        // Podman's network program needs none of what is looked at of a network.
        let networks = listed.networks.into_iter().filter(|network| !podman::is_podmans(network));
        let networks = networks.map(Known::new).filter(|known| !known.about.is_builtin());
        Ok(Self {
            host,
            runtime: host.runtime().clone().with_stderr(Stderr::Capture),
            networks: networks.collect(),
            broken: listed.broken,
            attached: all.into_iter().map(seen).collect(),
            unreadable,
            links,
            is_whole: true,
        })
    }

    /// The same about these networks and containers only; without any, about all.
    pub(crate) fn narrowed_to(mut self, targets: &[String]) -> Result<Self, Failure> {
        if targets.is_empty() {
            return Ok(self);
        }
        self.is_whole = false;
        self.networks.iter_mut().for_each(|known| known.wanted = false);
        self.attached.iter_mut().for_each(|seen| seen.wanted = false);
        for target in targets {
            if !self.want(target) {
                return Err(Unknown(target.clone()).into());
            }
        }
        Ok(self)
    }

    /// Whether there is such a thing.
    fn want(&mut self, target: &str) -> bool {
        let mut found = false;
        for known in self.networks.iter_mut().filter(|known| known.is_called(target)) {
            (known.wanted, found) = (true, true);
            let on_it = |seen: &&mut Seen| seen.connection.recorded.network == *known.network.name();
            self.attached.iter_mut().filter(on_it).for_each(|seen| seen.wanted = true);
        }
        for seen in self.attached.iter_mut().filter(|seen| seen.is_called(target)) {
            (seen.wanted, found) = (true, true);
            let its = |known: &&mut Known| *known.network.name() == seen.connection.recorded.network;
            self.networks.iter_mut().filter(its).for_each(|known| known.wanted = true);
        }
        found
    }

    /// Those that were asked for.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Known> {
        self.networks.iter().filter(|known| known.wanted)
    }

    /// The attachments that live, of those that were asked for.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Connection> {
        let living = |seen: &&Seen| seen.alive && seen.unseen.is_none() && seen.wanted;
        self.attached.iter().filter(living).map(|seen| &seen.connection)
    }

    /// The same of one network.
    pub(crate) fn living_on<'s>(&'s self, known: &'s Known) -> impl Iterator<Item = &'s Connection> {
        self.living().filter(|connection| connection.recorded.network == *known.network.name())
    }

    /// Whether an overlay network was asked for, or everything was; this host may have no file of it.
    pub(crate) fn is_about(&self, overlay: &NetworkName) -> bool {
        self.is_whole || self.wanted().any(|known| known.network.name() == overlay)
    }

    /// The network as it is configured now.
    pub(crate) fn network(&self, name: &NetworkName) -> Option<&Known> {
        self.networks.iter().find(|known| known.network.name() == name)
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().map(|(link, _)| link).find(|link| link.name == name)
    }
}

/// A veth's label says whose it is, and there is no half of a pair: its other end is in a namespace that lives.
fn label_of(link: &Link) -> Option<&str> {
    link.alias.as_deref().filter(|_| link.kind.as_deref() == Some("veth"))
}

fn see(connection: Connection, labels: &BTreeSet<&str>) -> Seen {
    let label = suite::Labelled::label(&connection.attachment());
    let alive = if labels.contains(label.as_str()) { Ok(true) } else { connection.is_alive() };
    let (alive, unseen) = alive.map_or_else(|error| (true, Some(error)), |alive| (alive, None));
    Seen { connection, alive, unseen, wanted: true }
}

impl Known {
    fn new(network: Network) -> Self {
        Self { about: Description::of(&network), network, wanted: true }
    }

    fn is_called(&self, target: &str) -> bool {
        const SHORTEST_ID: usize = 4;
        self.about.name == target || target.len() >= SHORTEST_ID && self.about.id.starts_with(target)
    }

    /// The bridge that its containers are on.
    pub(crate) fn bridge(&self) -> Option<&str> {
        (self.about.driver == "bridge").then(|| self.about.interface.as_deref().unwrap_or("cni0"))
    }

    /// Whether the host forwards what its containers send.
    pub(crate) fn is_routed(&self) -> bool {
        self.bridge().is_some() && !self.about.internal || matches!(&*self.about.driver, "ptp" | "overlay")
    }

    pub(crate) fn has_plugin(&self, kind: &str) -> bool {
        self.network.list.plugins.iter().any(|plugin| plugin.kind.as_str() == kind)
    }

    /// The configuration of the plugin that gets addresses from host-local.
    pub(crate) fn host_local(&self) -> Option<host_local::Config> {
        let is_it = |keys: &&Value| ipam_of(keys) == Some("host-local");
        let keys = self.network.list.plugins.iter().map(|plugin| &plugin.keys).find(is_it)?;
        json::from_value(keys).ok()
    }

    pub(crate) fn subnets(&self, family: Family) -> impl Iterator<Item = IpNetwork> {
        let subnets = self.about.subnets.iter().map(|subnet| subnet.subnet);
        subnets.filter(move |subnet| Family::of(subnet.ip()) == family)
    }

    /// The file's path, for a command.
    pub(crate) fn file(&self) -> String {
        self.about.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// The type of the plugin that gives addresses.
pub(crate) fn ipam_of(keys: &Value) -> Option<&str> {
    json::get(json::get(keys, "ipam")?, "type")?.as_str()
}

impl Seen {
    fn is_called(&self, target: &str) -> bool {
        self.connection.name == target || self.connection.recorded.endpoint.container.as_str() == target
    }
}

impl Connection {
    /// As findings name it.
    pub(crate) fn described(&self) -> String {
        format!("container {} ({} on network {})", self.name, self.recorded.endpoint.ifname, self.recorded.network)
    }

    /// The links on the host that its ADD has reported.
    pub(crate) fn host_links(&self) -> Vec<String> {
        let result = self.recorded.parsed_result().unwrap_or_default();
        result.links_of_host().map(str::to_owned).collect()
    }
}
