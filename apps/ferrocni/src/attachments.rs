//! What is attached to networks, by whichever runtime.

use std::path::Path;

use cni::{AddResult, Attachment, NetworkName};
use cni_runtime::{Attached, Cache, CacheError, Cached, Network};
use ipnetwork::IpNetwork;
use netlink::{Netns, Socket, if_found};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::host::{Host, Keeper};
use crate::target::{Engine, Names, bare_id};

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
        Self::gather(host, Cache::list)
    }

    /// Of one network.
    pub(crate) fn of_network(host: &Host, network: &NetworkName) -> Result<Vec<Connection>, CacheError> {
        Ok(Self::gather(host, |cache| cache.of_network(network))?.all)
    }

    fn gather(host: &Host, read: impl Fn(&Cache) -> Result<Cached, CacheError>) -> Result<Self, CacheError> {
        let names = Names::load();
        let mut found = Self { all: Vec::new(), broken: Vec::new() };
        for keeper in Keeper::ALL {
            let cached = read(host.runtime_of(keeper).cache())?;
            found.all.extend(cached.attached.into_iter().map(|recorded| Connection::of(recorded, keeper, &names)));
            found.broken.extend(cached.broken);
        }
        Ok(found)
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

    pub(crate) fn netns(&self) -> Option<&Path> {
        self.recorded.endpoint.netns.as_deref()
    }

    /// Whether its namespace is there, or another one under the same path.
    pub(crate) fn has_namespace(&self) -> Result<bool, netlink::Error> {
        Ok(self.open()?.is_some())
    }

    /// Whether the interface is there: its namespace is, and the interface is in it with its hardware address. A path like
    /// `/proc/1234/ns/net` may be another container's by now.
    pub(crate) fn is_alive(&self) -> Result<bool, netlink::Error> {
        self.open()?.map_or(Ok(false), |netns| self.has_interface(&netns))
    }

    /// The same, and in that namespace.
    pub(crate) fn is_alive_in(&self, netns: &Netns) -> Result<bool, netlink::Error> {
        // What cannot be opened is not what was.
        Ok(self.open().is_ok_and(|own| own.as_ref() == Some(netns)) && self.has_interface(netns)?)
    }

    fn open(&self) -> Result<Option<Netns>, netlink::Error> {
        self.netns().map_or(Ok(None), |path| if_found(Netns::open(path)))
    }

    fn has_interface(&self, netns: &Netns) -> Result<bool, netlink::Error> {
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
    let inside = result.interfaces.iter().find(|interface| interface.name == ifname && !interface.sandbox.is_empty());
    inside.map(|interface| interface.mac.clone()).filter(|mac| !mac.is_empty())
}

fn ports_of(recorded: &Attached) -> Vec<PortMapping> {
    let mappings = recorded.endpoint.capability_args.get("portMappings").cloned().unwrap_or_default();
    let mut ports: Vec<PortMapping> = serde_json::from_value(mappings).unwrap_or_default();
    // A port that is not published on the host.
    ports.retain(|port| port.host_port != 0);
    ports
}
