use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cni::IfName;
use serde_json::{Value, json};

use crate::list::{METRIC, firewall, interface, portmap};
use crate::{Endpoint, Error, Firewall, Ipam, Network};

/// A network on a bridge.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The bridge.
    pub name: IfName,
    /// Whose it is.
    pub mode: Mode,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Whom its containers reach.
    pub isolation: Isolation,
    /// Of the default routes.
    pub metric: u32,
    /// Its containers have none.
    pub no_default_route: bool,
    /// The VRF that the bridge is in.
    pub vrf: Option<IfName>,
    /// The VLAN of its containers' ports; 0 is none.
    pub vlan: u16,
    /// Sources of what leaves, in place of the host's address on the way.
    pub outbound: Vec<IpAddr>,
}

/// Whose the bridge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is made with the first container, and goes with the last one.
    Managed,
    /// The administrator's: containers become ports of it, and nothing else is changed on the host.
    Unmanaged,
}

/// Whom containers reach on other networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everyone.
    Open,
    /// No container of another isolated network.
    Isolated,
    /// No container of another network.
    Strict,
}

const MODES: [(&str, Mode); 2] = [("managed", Mode::Managed), ("unmanaged", Mode::Unmanaged)];
const ISOLATIONS: [(&str, Isolation); 5] = [
    ("false", Isolation::Open),
    ("true", Isolation::Isolated),
    ("0", Isolation::Open),
    ("1", Isolation::Isolated),
    ("strict", Isolation::Strict),
];
/// Of IEEE 802.1Q.
const MAX_VLAN: u16 = 4094;

impl Bridge {
    /// Docker's spelling of the option `mtu`.
    pub const DOCKER_MTU: &'static str = "com.docker.network.driver.mtu";
    /// Docker's spelling of `network_interface`.
    pub const DOCKER_NAME: &'static str = "com.docker.network.bridge.name";
    pub(crate) const OPTIONS: &'static [&'static str] = &[
        "mode",
        "mtu",
        "isolate",
        "metric",
        "no_default_route",
        "vrf",
        "vlan",
        "outbound_addr4",
        "outbound_addr6",
        Self::DOCKER_MTU,
        Self::DOCKER_NAME,
    ];

    pub(crate) fn of(network: &Network) -> Result<Self, Error> {
        let (options, of) = (&network.options, &network.name);
        let name = options.get(Self::DOCKER_NAME).or(network.network_interface.as_deref()).unwrap_or_default();
        let named = |name: &str| IfName::new(name).map_err(|source| Error::Name { network: of.clone(), source });
        if name.is_empty() {
            return Err(Error::NoInterface { network: of.clone() });
        }
        let outbound4: Option<Ipv4Addr> = options.parse(of, "outbound_addr4")?;
        let outbound6: Option<Ipv6Addr> = options.parse(of, "outbound_addr6")?;
        let bridge = Self {
            name: named(name)?,
            mode: options.one_of(of, "mode", &MODES)?.unwrap_or(Mode::Managed),
            mtu: options.parse(of, "mtu")?.or(options.parse(of, Self::DOCKER_MTU)?).filter(|mtu| *mtu != 0),
            isolation: options.one_of(of, "isolate", &ISOLATIONS)?.unwrap_or(Isolation::Open),
            metric: options.parse(of, "metric")?.unwrap_or(METRIC),
            no_default_route: options.parse(of, "no_default_route")?.unwrap_or(false),
            vrf: options.get("vrf").map(named).transpose()?,
            vlan: options.parse(of, "vlan")?.unwrap_or(0),
            outbound: outbound4.map(IpAddr::from).into_iter().chain(outbound6.map(IpAddr::from)).collect(),
        };
        if bridge.vlan > MAX_VLAN {
            let reason = format!("{} is no VLAN: use 1 to {MAX_VLAN}", bridge.vlan);
            return Err(Error::Option { network: of.clone(), key: "vlan".to_owned(), reason });
        }
        if bridge.mode == Mode::Managed && network.ipam()? == Ipam::Dhcp {
            return Err(Error::NoWire { network: of.clone() });
        }
        Ok(bridge)
    }

    pub(crate) fn plugins(&self, network: &Network, endpoint: &Endpoint) -> Vec<Value> {
        let is_managed = self.mode == Mode::Managed;
        let masquerades = is_managed && !network.internal && endpoint.firewall != Firewall::None;
        let mut keys = json!({
            "bridge": self.name,
            "isGateway": is_managed && network.gateways().next().is_some(),
            "ipMasq": masquerades,
            "ipMasqBackend": endpoint.firewall.translation(),
            "looseReversePath": is_managed,
            "vlan": self.vlan,
        });
        if is_managed {
            // Published ports lead a container to itself as well.
            keys["hairpinMode"] = json!(true);
            keys["routerAdvertisements"] = json!(false);
        }
        if let Some(name) = &endpoint.host_interface_name {
            keys["hostInterfaceName"] = json!(name);
        }
        if masquerades && !self.outbound.is_empty() {
            keys["outboundAddresses"] = json!(self.outbound);
        }
        let mut plugins = vec![interface("bridge", keys, self.mtu, endpoint)];
        if is_managed && endpoint.firewall != Firewall::None {
            plugins.push(firewall(self.firewall_keys(network), endpoint.firewall));
            plugins.extend((!network.internal).then(|| portmap(endpoint.firewall)));
        }
        plugins
    }

    fn firewall_keys(&self, network: &Network) -> Value {
        match self.isolation {
            _ if network.internal => json!({"confinement": "network"}),
            Isolation::Open => json!({}),
            Isolation::Isolated => json!({"ingressPolicy": "same-bridge"}),
            Isolation::Strict => json!({"confinement": "outside"}),
        }
    }
}
