//! What a network's configuration means to people, whoever has written it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use cni::{NetworkName, json};
use cni_runtime::Network;
use ip::Family;
use ipnetwork::IpNetwork;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{DEFAULT, DNSNAME, HOST, NONE, podman};

/// A network, as `ls` and `inspect` show it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    /// SHA-256 of the name, in hex: what nerdctl and earlier Podmans call the same network by; later ones choose an id.
    pub(crate) id: String,
    pub(crate) name: String,
    /// As Docker says it: the first plugin's type, `null` for the network without interfaces.
    pub(crate) driver: String,
    /// The bridge, or the host's link that containers' interfaces are on.
    pub(crate) interface: Option<String>,
    pub(crate) subnets: Vec<Subnet>,
    /// Containers reach each other, and nothing else.
    pub(crate) internal: bool,
    /// Containers are found by name.
    pub(crate) names: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    /// The plugin that gives addresses.
    pub(crate) ipam: String,
    pub(crate) created: Option<SystemTime>,
    /// By this command or by nerdctl, for containers as they come. (Podman leaves no mark in its files.)
    pub(crate) created_by_command: bool,
    pub(crate) file: Option<PathBuf>,
}

/// Where a network's addresses are from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subnet {
    pub(crate) subnet: IpNetwork,
    pub(crate) gateway: Option<IpAddr>,
    /// The first and the last address that containers get, unless it is the whole subnet.
    pub(crate) range: Option<(IpAddr, IpAddr)>,
}

/// The keys that describe a network in its list. Those of `args` are under the names of the programs that they are for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListKeys {
    args: Args,
    #[serde(rename = "nerdctlID")]
    nerdctl_id: Option<String>,
    #[serde(rename = "nerdctlLabels")]
    nerdctl_labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    podman_labels: BTreeMap<String, String>,
    podman_options: BTreeMap<String, String>,
    ferrocni: OwnKeys,
}

/// What this command notes of the networks that it creates.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnKeys {
    created: Option<String>,
    options: BTreeMap<String, String>,
    /// Of an overlay network.
    subnets: Vec<String>,
    internal: bool,
}

/// Those of a plugin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PluginKeys {
    bridge: Option<String>,
    master: Option<String>,
    #[serde(rename = "isGateway")]
    is_gateway: bool,
    #[serde(rename = "isDefaultGateway")]
    is_default_gateway: bool,
    ipam: Ipam,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ipam {
    r#type: String,
    ranges: Vec<Vec<Range>>,
    subnet: String,
    range_start: String,
    range_end: String,
    gateway: String,
}

/// As text, because one address that is none is no reason to hide the others.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Range {
    subnet: String,
    range_start: String,
    range_end: String,
    gateway: String,
}

/// The type of networks over many hosts.
const OVERLAY: &str = "overlay";

/// Those that etcd has for the network, as they were when its list was written. They never change.
fn in_cluster(subnets: &[String]) -> Vec<Subnet> {
    let subnets =
        subnets.iter().filter_map(|text| text.parse().ok()).filter_map(|subnet| overlay::Subnet::new(subnet).ok());
    subnets.map(|it| Subnet { subnet: it.network(), gateway: Some(it.gateway()), range: None }).collect()
}

impl Description {
    pub(crate) fn of(network: &Network) -> Self {
        let list: ListKeys = json::fitting_from_value(&network.keys).unwrap_or_default();
        let first = network.list.plugins.first();
        let keys: PluginKeys = first.and_then(|first| json::fitting_from_value(&first.keys).ok()).unwrap_or_default();
        let kind = first.map_or("", |first| first.kind.as_str());
        let mut labels = list.nerdctl_labels;
        labels.extend(list.args.podman_labels);
        let mut options = list.args.ferrocni.options;
        options.extend(list.args.podman_options);
        Self {
            id: Self::id_of(network),
            name: network.name().to_string(),
            driver: if kind == NONE { "null" } else { kind }.to_owned(),
            interface: keys.bridge.or(keys.master),
            internal: if kind == OVERLAY {
                list.args.ferrocni.internal
            } else {
                kind == "bridge" && (is_confined(network) || !(keys.is_gateway || keys.is_default_gateway))
            },
            names: network.list.plugins.iter().any(|plugin| plugin.kind.as_str() == DNSNAME),
            labels,
            options,
            created_by_command: list.nerdctl_id.is_some(),
            subnets: if kind == OVERLAY { in_cluster(&list.args.ferrocni.subnets) } else { keys.ipam.subnets() },
            ipam: if kind == OVERLAY { "cluster".to_owned() } else { keys.ipam.r#type },
            created: list.args.ferrocni.created.as_deref().and_then(parse_time).or_else(|| written(network)),
            file: network.path.clone(),
        }
    }

    pub(crate) fn id_of(network: &Network) -> String {
        podman::id(network).map_or_else(|| Self::id_of_name(network.name()), str::to_owned)
    }

    /// SHA-256 of the name, in hex.
    pub(crate) fn id_of_name(name: &NetworkName) -> String {
        let digest = Sha256::digest(name.as_str());
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
    }

    /// Whether it is one over many hosts.
    pub(crate) fn is_overlay(&self) -> bool {
        self.driver == OVERLAY
    }

    /// How far it reaches, in Docker's words.
    pub(crate) fn scope(&self) -> &'static str {
        if self.is_overlay() { "global" } else { "local" }
    }

    /// Whether it is one of those that are there without a file.
    pub(crate) fn is_builtin(&self) -> bool {
        self.file.is_none()
    }

    /// Whether a command has created it for whatever containers there would be, so that it may go when there are none. The
    /// network of containers that name none is not among those.
    pub(crate) fn is_created(&self) -> bool {
        self.created_by_command && self.name != DEFAULT
    }

    /// Whether containers get addresses of that family, as far as the configuration tells.
    pub(crate) fn has_family(&self, family: Family) -> bool {
        self.subnets.iter().any(|subnet| Family::of(subnet.subnet.ip()) == family)
    }

    /// Whether containers share the host's interfaces.
    pub(crate) fn shares_host(&self) -> bool {
        self.driver == HOST
    }
}

impl Ipam {
    /// Each subnet once: host-local may have several ranges of one.
    fn subnets(&self) -> Vec<Subnet> {
        let mut subnets: Vec<Subnet> = Vec::new();
        for subnet in self.ranges.iter().flatten().chain([&self.single()]).filter_map(Range::read) {
            if !subnets.iter().any(|known| known.subnet == subnet.subnet) {
                subnets.push(subnet);
            }
        }
        subnets
    }

    /// The older form, in which there is one range.
    fn single(&self) -> Range {
        let Self { subnet, range_start, range_end, gateway, .. } = self;
        let [subnet, range_start, range_end, gateway] = [subnet, range_start, range_end, gateway].map(Clone::clone);
        Range { subnet, range_start, range_end, gateway }
    }
}

impl Range {
    fn read(&self) -> Option<Subnet> {
        let address = |text: &str| cni::ip::parse(text).ok();
        let range = address(&self.range_start).zip(address(&self.range_end));
        Some(Subnet { subnet: cni::cidr::parse(&self.subnet).ok()?, gateway: address(&self.gateway), range })
    }
}

/// Whether the firewall keeps containers within the network.
fn is_confined(network: &Network) -> bool {
    let firewall = network.list.plugins.iter().find(|plugin| plugin.kind.as_str() == "firewall");
    let confinement = firewall.and_then(|plugin| json::get(&plugin.keys, "confinement"));
    confinement.is_some_and(|confinement| confinement == "network")
}

fn parse_time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// When its file was written last.
fn written(network: &Network) -> Option<SystemTime> {
    network.path.as_deref()?.metadata().ok()?.modified().ok()
}
