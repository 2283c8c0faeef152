//! One network of a container, in the words of CNI.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni::{AddResult, IfName, Interface, IpConfig, SpecVersion, Verb};
use cni_plugin::Call;
use cni_runtime::Network as List;
use container_interface::veth;
use ipnetwork::IpNetwork;
use podman_network::{Driver, Endpoint, Firewall, Ipam, Mode, Network};
use serde_json::{Value, json};

use crate::container::{Container, Part, PerNetwork};
use crate::error::Error;
use crate::{bridges, places, ports};

/// A container's part of one network.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) network: Network,
    pub(crate) driver: Driver,
    pub(crate) options: PerNetwork,
    /// Whose interface it is.
    pub(crate) names: cni::Attachment,
    /// The plugins that connect it.
    pub(crate) list: List,
    /// What they are told about it.
    pub(crate) endpoint: cni_runtime::Endpoint,
    /// Where the name server finds the container.
    pub(crate) netns_for_all: PathBuf,
}

/// The same for all of a container's networks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) container: &'a Container,
    pub(crate) netns: &'a Path,
    pub(crate) firewall: Firewall,
    /// The same namespace as everybody sees it: see [`crate::namespace::path_for_all`].
    pub(crate) netns_for_all: &'a Path,
    /// It asks its gateways for names: see [`crate::namespace::asks_gateways`].
    pub(crate) asks_gateways: bool,
}

impl Attachment {
    /// What is to be connected.
    pub(crate) fn to_connect(
        terms: Terms<'_>,
        part: &Part<'_>,
        network: Network,
        driver: Driver,
    ) -> Result<Self, Error> {
        let mtu = match &driver {
            Driver::Bridge(bridge) => bridges::mtu(&network, bridge)?,
            _ => None,
        };
        Self::of(terms, part, network, driver, mtu)
    }

    /// What is to be disconnected: how it was connected does not matter.
    pub(crate) fn to_disconnect(
        terms: Terms<'_>,
        part: &Part<'_>,
        network: Network,
        driver: Driver,
    ) -> Result<Self, Error> {
        Self::of(terms, part, network, driver, None)
    }

    fn of(
        terms: Terms<'_>,
        part: &Part<'_>,
        network: Network,
        driver: Driver,
        mtu: Option<u32>,
    ) -> Result<Self, Error> {
        let Terms { container, netns, firewall, netns_for_all, asks_gateways } = terms;
        let options = part.options.clone();
        let names = cni::Attachment::new(network.name.as_str(), &container.id, &options.interface_name)?;
        suite::check(&names)?;
        let ends = Endpoint {
            ipam: ipam(&network, &driver, &options, &container.hostname)?,
            mac: Some(options.static_mac.clone()).filter(|mac| !mac.is_empty()),
            host_interface_name: options.options.get("host_interface_name").map(IfName::new).transpose()?,
            mtu,
            firewall,
            intercept_names: asks_gateways,
        };
        let plugins = driver.plugins(&network, &ends);
        let list = List::from_json(podman_network::list(&network, &plugins))?;
        let endpoint = cni_runtime::Endpoint::new(&container.id, &options.interface_name)?
            .in_netns(netns)
            .with_arg("IgnoreUnknown", "1")
            .with_arg("K8S_POD_NAME", &container.name)
            .with_capability_arg("aliases", json!({names.network.as_str(): options.aliases}))
            .with_capability_arg("dns", json!({"servers": container.dns_servers}))
            .with_capability_arg("portMappings", ports::capability(&container.port_mappings)?);
        Ok(Self { network, driver, options, names, list, endpoint, netns_for_all: netns_for_all.to_owned() })
    }

    /// The call of the plugin of that type; `None` if the network has no such plugin. `before` is the result of those before it, or
    /// of ADD.
    pub(crate) fn call(&self, kind: &str, verb: Verb, before: Option<&AddResult>) -> Result<Option<Call>, Error> {
        let Some(plugin) = self.list.list.plugins.iter().find(|plugin| plugin.kind.as_str() == kind) else {
            return Ok(None);
        };
        let before = before.map(|result| result.to_json(SpecVersion::LATEST)).transpose()?;
        let config = self.endpoint.config(&self.list, plugin, verb, before.as_ref())?;
        let netns = self.endpoint.netns.as_deref().unwrap_or(Path::new(""));
        Ok(Some(
            Call::new(config)
                .container(self.names.container.as_str())
                .ifname(self.names.ifname.as_str())
                .netns(netns.to_string_lossy())
                .args(self.args())
                .path(places::plugin_path())
                .in_process(),
        ))
    }

    /// `CNI_ARGS`. What does not fit there is no name that anybody could ask for.
    fn args(&self) -> String {
        let fits = |(_, value): &&(String, String)| !value.is_empty() && !value.contains(';');
        let pairs = self.endpoint.args.iter().filter(fits).map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(";")
    }

    /// The call of the plugin that makes the interface.
    pub(crate) fn interface_call(&self, verb: Verb, before: Option<&AddResult>) -> Result<Call, Error> {
        let kind = self.kind().to_owned();
        let call = self.call(&kind, verb, before)?;
        call.ok_or_else(|| Error::NoProgram { network: self.network.name.clone(), driver: kind })
    }

    /// The type of the plugin that makes the interface.
    pub(crate) fn kind(&self) -> &str {
        self.list.list.plugins.first().map_or("", |plugin| plugin.kind.as_str())
    }

    /// The container's addresses as they were asked for.
    pub(crate) fn addresses(&self) -> Result<Vec<(IpNetwork, Option<IpAddr>)>, Error> {
        Ok(self.network.place(&self.options.static_ips)?)
    }

    /// What ADD has reported, as far as DEL needs it: names and addresses follow from the request.
    pub(crate) fn reported(&self) -> Result<AddResult, Error> {
        let netns = self.endpoint.netns.as_deref().unwrap_or(Path::new(""));
        let inside = Interface::new(self.names.ifname.as_str()).inside(netns);
        let host_end =
            self.options.options.get("host_interface_name").map_or_else(|| veth::host_name(&self.names), str::to_owned);
        let mut interfaces = match &self.driver {
            Driver::Bridge(bridge) => vec![Interface::new(bridge.name.as_str()), Interface::new(host_end), inside],
            Driver::Ptp { .. } => vec![Interface::new(host_end), inside],
            Driver::Layer2(_) | Driver::Program(_) | Driver::Plugin(_) => vec![inside],
        };
        let own = interfaces.len() - 1;
        if let Driver::Bridge(bridge) = &self.driver
            && bridge.vlan != 0
            && bridge.mode == Mode::Managed
        {
            interfaces.push(Interface::new(format!("{}.{}", bridge.name, bridge.vlan)));
        }
        let ips = self.addresses()?.into_iter().map(|(address, gateway)| IpConfig::new(address, gateway).on(own));
        Ok(AddResult::default().with_interfaces(interfaces).with_ips(ips.collect()))
    }
}

/// The interface plugin's `ipam`.
fn ipam(network: &Network, driver: &Driver, options: &PerNetwork, hostname: &str) -> Result<Value, Error> {
    let metric = driver.default_route(network);
    match network.ipam()? {
        Ipam::None => Ok(Value::Null),
        Ipam::Dhcp => Ok(dhcp(metric, hostname)),
        Ipam::HostLocal if options.static_ips.is_empty() => match driver {
            Driver::Program(_) | Driver::Plugin(_) => Ok(Value::Null),
            _ => Err(Error::NoAddress { network: network.name.clone() }),
        },
        Ipam::HostLocal => {
            let addresses = network.place(&options.static_ips)?;
            let routes = metric.map(|metric| default_routes(network, &addresses, metric)).unwrap_or_default();
            let addresses: Vec<_> = addresses.iter().map(|(address, gateway)| written(*address, *gateway)).collect();
            // The ranges are for who reads the record.
            Ok(json!({"type": "static", "addresses": addresses, "routes": routes, "ranges": network.ranges()}))
        }
    }
}

fn dhcp(metric: Option<u32>, hostname: &str) -> Value {
    let mut ipam = json!({"type": "dhcp"});
    match metric {
        Some(metric) => ipam["priority"] = json!(metric),
        None => ipam["suppress"] = json!(["gateway"]),
    }
    if !hostname.is_empty() {
        ipam["provide"] = json!([{"option": "host-name", "value": hostname}]);
    }
    ipam
}

fn written(address: IpNetwork, gateway: Option<IpAddr>) -> Value {
    let mut written = json!({"address": address.to_string()});
    if let Some(gateway) = gateway {
        written["gateway"] = json!(gateway);
    }
    written
}

/// One for each family that the container has an address and the network a gateway of.
fn default_routes(network: &Network, addresses: &[(IpNetwork, Option<IpAddr>)], metric: u32) -> Vec<Value> {
    let mut routes = Vec::new();
    for (is_ipv4, everywhere) in [(true, "0.0.0.0/0"), (false, "::/0")] {
        let is_connected = addresses.iter().any(|(address, _)| address.is_ipv4() == is_ipv4);
        let gateway = network.gateways().find(|gateway| gateway.is_ipv4() == is_ipv4);
        if let Some(gateway) = gateway.filter(|_| is_connected) {
            routes.push(json!({"dst": everywhere, "gw": gateway, "priority": metric}));
        }
    }
    routes
}
