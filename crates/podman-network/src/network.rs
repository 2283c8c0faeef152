use std::collections::BTreeMap;
use std::net::IpAddr;

use cni::{NetworkName, cidr, ip, json};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Options};

/// A network, as Podman describes it (`network_info` of its calls, and its files).
#[derive(Debug, Clone, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// 64 hexadecimal digits.
    #[serde(default)]
    pub id: String,
    /// `bridge`, `macvlan`, `ipvlan`, or the name of a program.
    pub driver: String,
    /// The bridge, or the link that containers' links are on.
    #[serde(default)]
    pub network_interface: Option<String>,
    /// Where its addresses are from.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// What its containers have besides the default routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// It has, or is to have, IPv6 addresses.
    #[serde(default)]
    pub ipv6_enabled: bool,
    /// It ends at the host.
    #[serde(default)]
    pub internal: bool,
    /// Its containers find one another by name.
    #[serde(default)]
    pub dns_enabled: bool,
    /// Whom the name server asks for its containers.
    #[serde(default)]
    pub network_dns_servers: Vec<IpAddr>,
    /// The user's own words about it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    #[serde(default)]
    pub options: Options,
    /// Who gives addresses.
    #[serde(default)]
    pub ipam_options: BTreeMap<String, String>,
    /// When it was created (RFC 3339).
    #[serde(default)]
    pub created: Option<String>,
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Subnet {
    /// The subnet.
    #[serde(with = "cidr")]
    pub subnet: IpNetwork,
    /// Its gateway, if it has one.
    #[serde(default, deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The addresses that Podman gives, unless it is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_range: Option<LeaseRange>,
}

/// First and last of the addresses that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct LeaseRange {
    /// The first one.
    #[serde(deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    pub start_ip: Option<IpAddr>,
    /// The last one.
    #[serde(deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    pub end_ip: Option<IpAddr>,
}

/// A route of a network's containers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// Where to.
    #[serde(with = "cidr")]
    pub destination: IpNetwork,
    /// By which neighbour.
    #[serde(default, deserialize_with = "ip::deserialize_optional")]
    pub gateway: Option<IpAddr>,
    /// The lowest wins.
    #[serde(default)]
    pub metric: Option<u32>,
    /// What becomes of the packets.
    #[serde(default, rename = "route_type")]
    pub kind: RouteType,
}

/// What becomes of packets that take a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteType {
    /// They go to the gateway.
    #[default]
    #[serde(alias = "")]
    Unicast,
    /// They vanish.
    Blackhole,
    /// They are answered with "unreachable".
    Unreachable,
    /// They are answered with "prohibited".
    Prohibit,
}

/// Who gives a network's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipam {
    /// Podman, which tells its network program.
    HostLocal,
    /// A DHCP server.
    Dhcp,
    /// Nobody.
    None,
}

impl Network {
    /// Reads a description as Go would: keys in any case, `null` as absent.
    ///
    /// # Errors
    /// [`Error::Description`] says where and why.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        json::from_value(value).map_err(|misfit| Error::Description { reason: misfit.to_string() })
    }

    /// Who gives its addresses.
    ///
    /// # Errors
    /// [`Error::Ipam`] if that is nobody who is known.
    pub fn ipam(&self) -> Result<Ipam, Error> {
        match self.ipam_options.get("driver").map(String::as_str) {
            None | Some("" | "host-local") => Ok(Ipam::HostLocal),
            Some("dhcp") => Ok(Ipam::Dhcp),
            Some("none") => Ok(Ipam::None),
            Some(driver) => Err(Error::Ipam { network: self.name.clone(), driver: driver.to_owned() }),
        }
    }

    /// The addresses, each with the prefix length and the gateway of its subnet.
    ///
    /// # Errors
    /// [`Error::NoSubnet`] for an address that is in none of the subnets.
    pub fn place(&self, addresses: &[IpAddr]) -> Result<Vec<(IpNetwork, Option<IpAddr>)>, Error> {
        let place = |address: &IpAddr| {
            let subnet = self.subnets.iter().find(|subnet| subnet.subnet.contains(*address));
            let placed = subnet
                .and_then(|subnet| Some((IpNetwork::new(*address, subnet.subnet.prefix()).ok()?, subnet.gateway)));
            placed.ok_or_else(|| Error::NoSubnet { network: self.name.clone(), address: *address })
        };
        addresses.iter().map(place).collect()
    }

    /// The subnets' gateways.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        self.subnets.iter().filter_map(|subnet| subnet.gateway).filter(|gateway| !gateway.is_unspecified())
    }

    /// What cannot be right in its routes and subnets.
    ///
    /// # Errors
    /// The first thing.
    pub fn validate(&self) -> Result<(), Error> {
        self.ipam()?;
        for (i, one) in self.subnets.iter().enumerate() {
            let overlap = |other: &&Subnet| {
                one.subnet.contains(other.subnet.network()) || other.subnet.contains(one.subnet.network())
            };
            if let Some(other) = self.subnets[i + 1..].iter().find(overlap) {
                return Err(Error::Overlap { network: self.name.clone(), one: one.subnet, other: other.subnet });
            }
        }
        self.routes.iter().try_for_each(|route| self.validate_route(route))
    }

    fn validate_route(&self, route: &Route) -> Result<(), Error> {
        let wrong = |reason| Error::Route { network: self.name.clone(), destination: route.destination, reason };
        if route.destination.ip() != route.destination.network() {
            return Err(wrong("its destination has host bits set: write the network's address"));
        }
        match (route.kind, route.gateway) {
            (RouteType::Unicast, None) => Err(wrong("it needs a gateway")),
            (RouteType::Unicast, Some(gateway)) if gateway.is_ipv4() != route.destination.is_ipv4() => {
                Err(wrong("its gateway is of another family than its destination"))
            }
            (RouteType::Unicast, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(wrong("packets that are not forwarded need no gateway: leave it out")),
        }
    }
}
