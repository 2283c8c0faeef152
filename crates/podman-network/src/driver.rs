use serde_json::Value;

use crate::{Bridge, Endpoint, Error, Kind, Layer2, Network};

/// How a network connects its containers.
#[derive(Debug, Clone)]
pub enum Driver {
    /// By a bridge.
    Bridge(Bridge),
    /// By links on one of the host's: macvlan, ipvlan.
    Layer2(Layer2),
    /// By a link of its own to the host.
    Ptp {
        /// MTU in bytes.
        mtu: Option<u32>,
        /// Of the default routes.
        metric: u32,
        /// Its containers have none.
        no_default_route: bool,
    },
    /// By another program, of that name.
    Program(String),
    /// By a CNI plugin of that type, which is no driver by itself.
    Plugin(String),
}

/// Drivers of ours that are none of Podman's: `podman network create --driver` takes the names of programs.
impl Driver {
    /// Containers with a link of their own to the host.
    pub const PTP: &'static str = "ptp";
    /// macvlan on an IEEE 802.1Q link that comes and goes with its containers.
    pub const MACVLAN_TRUNK: &'static str = "macvlan-trunk";
    /// The same of ipvlan.
    pub const IPVLAN_TRUNK: &'static str = "ipvlan-trunk";
    /// All of them.
    pub const OWN: [&'static str; 3] = [Self::PTP, Self::MACVLAN_TRUNK, Self::IPVLAN_TRUNK];

    /// The entries of the list of plugins that connects a container in this way.
    #[must_use]
    pub fn plugins(&self, network: &Network, endpoint: &Endpoint) -> Vec<Value> {
        let mut plugins = match self {
            Self::Bridge(bridge) => bridge.plugins(network, endpoint),
            Self::Layer2(layer2) => vec![layer2.plugin(endpoint)],
            Self::Ptp { mtu, .. } => crate::list::ptp(network, *mtu, endpoint),
            Self::Program(_) => return Vec::new(),
            Self::Plugin(kind) => crate::list::plugin(network, kind, endpoint),
        };
        plugins.extend(network.dns_enabled.then(|| crate::list::dnsname(network, endpoint)));
        plugins
    }

    /// The metric of the default routes; `None` where the network has none.
    #[must_use]
    pub fn default_route(&self, network: &Network) -> Option<u32> {
        let (metric, without) = match self {
            Self::Bridge(bridge) => (bridge.metric, bridge.no_default_route),
            Self::Layer2(layer2) => (layer2.metric, layer2.no_default_route),
            Self::Ptp { metric, no_default_route, .. } => (*metric, *no_default_route),
            Self::Program(_) => return None,
            Self::Plugin(_) => (crate::list::METRIC, false),
        };
        (!without && !network.internal).then_some(metric)
    }
}

impl Network {
    /// How it connects its containers.
    ///
    /// # Errors
    /// Options that cannot be right.
    pub fn driver(&self) -> Result<Driver, Error> {
        self.validate()?;
        Ok(match self.driver.as_str() {
            "" | "bridge" => Driver::Bridge(Bridge::of(self)?),
            "macvlan" | Driver::MACVLAN_TRUNK => Driver::Layer2(Layer2::of(self, Kind::Macvlan)?),
            "ipvlan" | Driver::IPVLAN_TRUNK => Driver::Layer2(Layer2::of(self, Kind::Ipvlan)?),
            Driver::PTP => Driver::Ptp {
                mtu: self.options.parse(&self.name, "mtu")?,
                metric: self.options.parse(&self.name, "metric")?.unwrap_or(crate::list::METRIC),
                no_default_route: self.options.parse(&self.name, "no_default_route")?.unwrap_or(false),
            },
            program => Driver::Program(program.to_owned()),
        })
    }

    /// The options that its driver has; `None` if another program decides that.
    #[must_use]
    pub fn known_options(&self) -> Option<&'static [&'static str]> {
        match self.driver.as_str() {
            "" | "bridge" => Some(Bridge::OPTIONS),
            "macvlan" | Driver::MACVLAN_TRUNK => Some(Kind::Macvlan.options()),
            "ipvlan" | Driver::IPVLAN_TRUNK => Some(Kind::Ipvlan.options()),
            Driver::PTP => Some(&["mtu", "metric", "no_default_route"]),
            _ => None,
        }
    }
}
