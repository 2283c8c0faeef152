//! What hangs together on a host, as data. This is what `--format json` prints, so that names here are names there.

use serde::Serialize;

use crate::attachments::PortMapping;

/// A host, its networks, and the containers on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Graph {
    pub(super) host: Machine,
    pub(super) networks: Vec<Network>,
    pub(super) containers: Vec<Container>,
    /// How many attachments are recorded whose containers are gone. They are not in here.
    pub(super) dead: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) links: Vec<Link>,
}

/// A link of the host that is no container's.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Link {
    pub(super) name: String,
    /// As the kernel calls it: "bridge", "vlan". Empty for a physical one.
    pub(super) kind: String,
    pub(super) up: bool,
    pub(super) mac: Option<String>,
    pub(super) mtu: u32,
    /// With prefix length. Those that are valid on the link only are left out.
    pub(super) addresses: Vec<String>,
    /// A default route leaves through it.
    pub(super) default_route: bool,
    /// The link that it sits on.
    pub(super) parent: Option<String>,
    /// The bridge, bond or VRF that it is a port of.
    pub(super) master: Option<String>,
    /// Its IEEE 802.1Q tag.
    pub(super) vlan: Option<u16>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) id: String,
    /// Empty if its configuration is gone.
    pub(super) driver: String,
    /// The bridge, or the link that containers' interfaces sit on. A bridge is not there before its first container.
    pub(super) interface: Option<String>,
    pub(super) subnets: Vec<Subnet>,
    pub(super) internal: bool,
    pub(super) file: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Subnet {
    pub(super) subnet: String,
    pub(super) gateway: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Container {
    pub(super) id: String,
    /// The id where no other name is known.
    pub(super) name: String,
    /// What runs it, where that can be told from the traces that it leaves.
    pub(super) runtime: Option<&'static str>,
    pub(super) ports: Vec<PortMapping>,
    pub(super) attachments: Vec<Attached>,
}

/// A container's interface on a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attached {
    pub(super) network: String,
    pub(super) interface: String,
    pub(super) mac: Option<String>,
    pub(super) addresses: Vec<String>,
    /// Other names that the container is found by on the network.
    pub(super) aliases: Vec<String>,
    /// The other end, on the host.
    pub(super) host_interface: Option<String>,
    /// By a runtime. Without, nothing but the label of the host's end tells of it.
    pub(super) recorded: bool,
}

impl Graph {
    /// The links that sit on that one; `None` for those that sit on none.
    pub(super) fn links_on<'a>(&'a self, parent: Option<&'a str>) -> impl Iterator<Item = &'a Link> {
        self.host.links.iter().filter(move |link| link.parent.as_deref() == parent)
    }

    pub(super) fn networks_on<'a>(&'a self, link: &'a str) -> impl Iterator<Item = &'a Network> {
        self.networks.iter().filter(move |network| network.interface.as_deref() == Some(link))
    }

    /// Those whose link is not there, and those that need none.
    pub(super) fn networks_elsewhere(&self) -> impl Iterator<Item = &Network> {
        self.networks.iter().filter(|network| !self.has_link_of(network))
    }

    fn has_link_of(&self, network: &Network) -> bool {
        self.host.links.iter().any(|link| Some(&link.name) == network.interface.as_ref())
    }

    /// Every interface on that network, with its container.
    pub(super) fn attached_to<'a>(&'a self, network: &'a str) -> impl Iterator<Item = (&'a Container, &'a Attached)> {
        let of = move |container: &'a Container| {
            container.attachments.iter().filter(move |attached| attached.network == network)
        };
        self.containers.iter().flat_map(move |container| of(container).map(move |attached| (container, attached)))
    }
}

impl Container {
    /// Each of its networks once, in the order of its interfaces.
    pub(super) fn networks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for attached in &self.attachments {
            if !names.contains(&attached.network.as_str()) {
                names.push(&attached.network);
            }
        }
        names
    }
}
