//! What is attached to networks, by whichever runtime.

use std::collections::HashSet;
use std::path::Path;

use ::names::{Name, Records};
use cni::{AddResult, Attachment, Interface, NetworkName, PluginConfig, json};
use cni_runtime::{Attached, Cache, CacheError, Network};
use ipnetwork::IpNetwork;
use netlink::{Netns, Socket, if_found};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::host::{Host, Keeper};
use crate::parallel::in_parts;
use crate::target::{Engine, Names, bare_id};

/// The interface that every network namespace has.
pub(crate) const LOOPBACK: &str = "lo";

/// A container's interface on a network, as its runtime has recorded it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) recorded: Attached,
    /// What the container is called: by its runtime if that has told, else its id.
    pub(crate) name: String,
    /// Who runs the container.
    pub(crate) engine: Engine,
    /// Who keeps record of it.
    pub(crate) keeper: Keeper,
    /// It has an interface of its own: on the networks `host` and `none` it has not.
    has_interface: bool,
    pub(crate) mac: Option<String>,
    pub(crate) addresses: Vec<IpNetwork>,
    pub(crate) ports: Vec<PortMapping>,
}

/// A published port (`portMappings`, CONVENTIONS.md of the CNI specification).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortMapping {
    pub(crate) host_port: u16,
    pub(crate) container_port: u16,
    #[serde(default = "tcp")]
    pub(crate) protocol: String,
    #[serde(default, rename = "hostIP")]
    pub(crate) host_ip: String,
    /// Every host of an overlay network answers it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) ingress: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

fn tcp() -> String {
    "tcp".to_owned()
}

/// Everything that is recorded, and the records that cannot be read.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) all: Vec<Connection>,
    pub(crate) broken: Vec<CacheError>,
}

impl Connections {
    /// Of all networks.
    pub(crate) fn of_host(host: &Host) -> Result<Self, CacheError> {
        Self::of_others(host, &HashSet::new())
    }

    /// Of all networks, but not of containers with these ids: their records are not even read.
    pub(crate) fn of_others(host: &Host, known: &HashSet<&str>) -> Result<Self, CacheError> {
        let (names, mut files) = (Names::load(), record_files(host)?);
        files.retain(|file| !file.is_of(known));
        let connections = |part: &[RecordFile<'_>]| {
            let read = part.iter().filter_map(|file| file.read().transpose().map(|recorded| (file.keeper, recorded)));
            read.map(|(keeper, recorded)| Ok(Connection::of(recorded?, keeper, &names))).collect::<Vec<_>>()
        };
        let mut found = Self { all: Vec::new(), broken: Vec::new() };
        for connection in in_parts(&files, connections).into_iter().flatten() {
            match connection {
                Ok(connection) => found.all.push(connection),
                Err(error) => found.broken.push(error),
            }
        }
        Ok(found)
    }

    /// Of one network.
    pub(crate) fn of_network(host: &Host, network: &NetworkName) -> Result<Vec<Connection>, CacheError> {
        let (names, mut all) = (Names::load(), Vec::new());
        for keeper in Keeper::ALL {
            let recorded = host.runtime_of(keeper).cache().of_network(network)?.attached;
            all.extend(recorded.into_iter().map(|recorded| Connection::of(recorded, keeper, &names)));
        }
        Ok(all)
    }
}

/// A file with a record of an attachment.
#[derive(Debug)]
pub(crate) struct RecordFile<'a> {
    keeper: Keeper,
    cache: &'a Cache,
    name: String,
}

/// Those of all networks.
pub(crate) fn record_files(host: &Host) -> Result<Vec<RecordFile<'_>>, CacheError> {
    let mut files = Vec::new();
    for keeper in Keeper::ALL {
        let cache = host.runtime_of(keeper).cache();
        files.extend(cache.names()?.into_iter().map(|name| RecordFile { keeper, cache, name }));
    }
    Ok(files)
}

impl RecordFile<'_> {
    /// Whether one of these ids, which have no hyphens, is the container's: between the names of network and interface.
    fn is_of(&self, ids: &HashSet<&str>) -> bool {
        self.name.split('-').any(|part| ids.contains(part))
    }

    /// What it says; `None` if it has gone meanwhile, or is about no connection: a pod's loopback, which containerd has had a plugin bring
    /// up.
    pub(crate) fn read(&self) -> Result<Option<Attached>, CacheError> {
        let recorded = self.cache.read_named(&self.name)?;
        Ok(recorded.filter(|attached| attached.endpoint.ifname.as_str() != LOOPBACK))
    }
}

impl Connection {
    pub(crate) fn of(recorded: Attached, keeper: Keeper, names: &Names) -> Self {
        // What cannot be read is not shown; that it is attached is known all the same.
        let result = recorded.parsed_result().unwrap_or_default();
        let ifname = recorded.endpoint.ifname.as_str().to_owned();
        let engine = Engine::of(&recorded, names);
        Self {
            name: name_of(&recorded, names),
            engine,
            keeper,
            has_interface: has_interface(&result, &ifname),
            mac: mac_of(&result, &ifname),
            addresses: result.ips_of(&ifname).map(|ip| ip.address).collect(),
            ports: ports_of(&recorded),
            recorded,
        }
    }

    /// Made by `network connect` or `run`: its runtime, if it has one, does not know of it.
    pub(crate) fn is_live(&self) -> bool {
        self.keeper == Keeper::Command
    }

    pub(crate) fn attachment(&self) -> Attachment {
        self.recorded.attachment()
    }

    /// Other names that it is found by on the network, as far as they are known. The beginning of its id is none of those.
    pub(crate) fn aliases(&self) -> Vec<Name> {
        let record = Records::default().read(&self.attachment()).ok().flatten();
        let mut aliases = record.map(|record| record.aliases).unwrap_or_default();
        aliases.retain(|alias| !self.recorded.endpoint.container.as_str().starts_with(alias.as_str()));
        aliases
    }

    pub(crate) fn netns(&self) -> Option<&Path> {
        self.recorded.endpoint.netns.as_deref()
    }

    /// Whether it is there: its namespace is, and the interface, if it has one, is in it with its hardware address. A path like
    /// `/proc/1234/ns/net` may be another container's by now.
    pub(crate) fn is_alive(&self) -> Result<bool, netlink::Error> {
        self.open()?.map_or(Ok(false), |netns| self.is_in(&netns))
    }

    /// The same, and in that namespace.
    pub(crate) fn is_alive_in(&self, netns: &Netns) -> Result<bool, netlink::Error> {
        // What cannot be opened is not what was.
        Ok(self.open().is_ok_and(|own| own.as_ref() == Some(netns)) && self.is_in(netns)?)
    }

    fn open(&self) -> Result<Option<Netns>, netlink::Error> {
        open(&self.recorded)
    }

    fn is_in(&self, netns: &Netns) -> Result<bool, netlink::Error> {
        if !self.has_interface {
            return Ok(true);
        }
        let link = if_found(Socket::open_in(netns)?.link(self.recorded.endpoint.ifname.as_str()))?;
        let mac = link.as_ref().and_then(|link| link.mac).map(|mac| mac.to_string());
        Ok(link.is_some() && (self.mac.is_none() || self.mac == mac))
    }

    /// Detaches what no container has any more, as it was attached.
    pub(crate) fn sweep(&self, host: &Host, network: &Network) -> Result<(), Failure> {
        let then = self.recorded.configured().ok().flatten();
        Ok(host.runtime_of(self.keeper).del(then.as_ref().unwrap_or(network), &self.recorded.endpoint)?)
    }
}

/// Whether an attachment's namespace is there, or another one under the same path.
pub(crate) fn has_namespace(recorded: &Attached) -> Result<bool, netlink::Error> {
    recorded.endpoint.netns.as_deref().map_or(Ok(false), Netns::is_at)
}

fn open(recorded: &Attached) -> Result<Option<Netns>, netlink::Error> {
    recorded.endpoint.netns.as_deref().map_or(Ok(None), |path| if_found(Netns::open(path)))
}

/// Podman, Kubernetes' runtimes and this command tell the plugins what the container is called; nerdctl keeps it in files.
fn name_of(recorded: &Attached, names: &Names) -> String {
    let id = recorded.endpoint.container.as_str();
    let told = |key| recorded.endpoint.args.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
    let name = told("K8S_POD_NAME").filter(|name| !name.is_empty());
    match (name, told("K8S_POD_NAMESPACE")) {
        (Some(name), Some(namespace)) if !namespace.is_empty() && namespace != name => format!("{namespace}/{name}"),
        (Some(name), _) => name,
        (None, _) => names.of(id).unwrap_or_else(|| bare_id(id)).to_owned(),
    }
}

fn mac_of(result: &AddResult, ifname: &str) -> Option<String> {
    inside(result, ifname).map(|interface| interface.mac.clone()).filter(|mac| !mac.is_empty())
}

/// Old results name no interfaces.
fn has_interface(result: &AddResult, ifname: &str) -> bool {
    result.interfaces.is_empty() || inside(result, ifname).is_some()
}

fn inside<'a>(result: &'a AddResult, ifname: &str) -> Option<&'a Interface> {
    result.interfaces.iter().find(|interface| interface.name == ifname && !interface.sandbox.is_empty())
}

fn ports_of(recorded: &Attached) -> Vec<PortMapping> {
    let mappings = recorded.endpoint.capability_args.get("portMappings");
    // containerd and nerdctl write the keys with capital letters.
    let mut ports: Vec<PortMapping> = mappings.and_then(|mappings| json::from_value(mappings).ok()).unwrap_or_default();
    // A port that is not published on the host.
    ports.retain(|port| port.host_port != 0);
    if !ports.is_empty() && recorded.configured().ok().flatten().is_some_and(|network| has_ingress(&network)) {
        ports.iter_mut().for_each(|port| port.ingress = true);
    }
    ports
}

/// Whether every host answers all ports of a network, whatever is said of each.
pub(crate) fn has_ingress(network: &Network) -> bool {
    let says_so = |plugin: &PluginConfig| json::get(&plugin.keys, "ingress").is_some_and(|value| *value == true);
    overlay(network).is_some_and(says_so)
}

/// The plugin of a network over many hosts.
pub(crate) fn overlay(network: &Network) -> Option<&PluginConfig> {
    network.list.plugins.iter().find(|plugin| plugin.kind.as_str() == "overlay")
}
