//! What an ADD reports, in the forms of every spec version.
//!
//! Inside there is one type, [`AddResult`]; [`AddResult::to_json`] and [`AddResult::from_json`] translate:
//!
//! | version | form |
//! |---|---|
//! | 0.1.0, 0.2.0 | `ip4` and `ip6` with address, gateway and routes; one of each; no interfaces |
//! | 0.3.0 to 0.4.0 | `interfaces`, `ips` (each with `version` "4" or "6"), `routes`, `dns` |
//! | 1.0.0 | the same without `version` |
//! | 1.1.0 | and with `mtu`, `socketPath` and `pciID` of interfaces |

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::address::{cidr, ip};
use crate::error::{Code, Error};
use crate::json;
use crate::name::IfName;
use crate::version::SpecVersion;

/// What an ADD made: interfaces, addresses, routes and name servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddResult {
    /// Every interface made, host side and container side.
    pub interfaces: Vec<Interface>,
    /// The addresses given.
    pub ips: Vec<IpConfig>,
    /// The routes set inside the container.
    pub routes: Vec<Route>,
    /// What the container's resolver should use.
    pub dns: Dns,
}

impl AddResult {
    /// The same with these interfaces.
    #[must_use]
    pub fn with_interfaces(self, interfaces: Vec<Interface>) -> Self {
        Self { interfaces, ..self }
    }

    /// The same with these addresses.
    #[must_use]
    pub fn with_ips(self, ips: Vec<IpConfig>) -> Self {
        Self { ips, ..self }
    }

    /// The same with these routes.
    #[must_use]
    pub fn with_routes(self, routes: Vec<Route>) -> Self {
        Self { routes, ..self }
    }

    /// The same with that for its resolver.
    #[must_use]
    pub fn with_dns(self, dns: Dns) -> Self {
        Self { dns, ..self }
    }
}

/// An interface that a plugin made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Interface {
    /// Its name in its namespace.
    pub name: String,
    /// Its hardware address, as text; empty where layer 2 has no meaning.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Its MTU in bytes (since 1.1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The path of the namespace it is in; empty for the host's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// A vhost-user or similar socket (since 1.1.0).
    #[serde(rename = "socketPath", skip_serializing_if = "String::is_empty")]
    pub socket_path: String,
    /// The PCI device behind it (since 1.1.0).
    #[serde(rename = "pciID", skip_serializing_if = "String::is_empty")]
    pub pci_id: String,
}

impl Interface {
    /// An interface of that name, on the host, of which nothing else is known.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same with that hardware address.
    #[must_use]
    pub fn with_mac(self, mac: impl fmt::Display) -> Self {
        Self { mac: mac.to_string(), ..self }
    }

    /// The same with that MTU in bytes. Results before 1.1.0 are written without it.
    #[must_use]
    pub fn with_mtu(self, mtu: u32) -> Self {
        Self { mtu: Some(mtu), ..self }
    }

    /// The same inside the namespace at that path.
    #[must_use]
    pub fn inside(self, netns: &Path) -> Self {
        Self { sandbox: netns.display().to_string(), ..self }
    }
}

/// An address of a result, and the interface that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IpConfig {
    /// Index into [`AddResult::interfaces`]; IPAM plugins leave it out. Other plugins' may be out of range: see
    /// [`AddResult::ips_of`].
    pub interface: Option<usize>,
    /// The address with its subnet's prefix length.
    pub address: IpNetwork,
    /// The subnet's gateway; absent if the network has none.
    pub gateway: Option<IpAddr>,
}

impl IpConfig {
    /// An address on no interface yet.
    #[must_use]
    pub fn new(address: IpNetwork, gateway: Option<IpAddr>) -> Self {
        Self { interface: None, address, gateway }
    }

    /// The same on the interface of that index.
    #[must_use]
    pub fn on(self, interface: usize) -> Self {
        Self { interface: Some(interface), ..self }
    }
}

/// A route inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Route {
    /// The destination; a prefix length of 0 makes a default route.
    #[serde(with = "cidr")]
    pub dst: IpNetwork,
    /// By which neighbour; the subnet's gateway if absent.
    #[serde(default, deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// The path's MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The largest segment to advertise, in bytes (`advmss`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// The metric; lower wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// The routing table; main if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// 0 global, 253 link, 254 host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
}

impl Route {
    /// A route with nothing but a destination and perhaps a gateway.
    #[must_use]
    pub fn new(dst: IpNetwork, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None }
    }
}

/// What a resolver should use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Dns {
    /// Name servers, in the order to ask them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain, as `domain` in resolv.conf(5); empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Search domains, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options as in resolv.conf(5).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    /// These name servers, and nothing else.
    #[must_use]
    pub fn of(nameservers: Vec<String>) -> Self {
        Self { nameservers, ..Self::default() }
    }

    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `dns` of a network whose IPAM plugin may have one of its own. A list that is there and empty says something too: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenDns")]
pub struct NetworkDns(Option<Dns>);

impl NetworkDns {
    /// What the container gets, whatever the IPAM plugin says, if the network says anything.
    pub fn replace(&self, dns: &mut Dns) {
        if let Some(own) = &self.0 {
            dns.clone_from(own);
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenDns {
    nameservers: Option<Vec<String>>,
    domain: String,
    search: Option<Vec<String>>,
    options: Option<Vec<String>>,
}

impl From<WrittenDns> for NetworkDns {
    fn from(written: WrittenDns) -> Self {
        let WrittenDns { nameservers, domain, search, options } = written;
        let says_nothing = domain.is_empty() && [&nameservers, &search, &options].iter().all(|list| list.is_none());
        let [nameservers, search, options] = [nameservers, search, options].map(Option::unwrap_or_default);
        Self((!says_nothing).then_some(Dns { nameservers, domain, search, options }))
    }
}

/// `ips` of 0.3.0 and later as they are written.
#[derive(Serialize, Deserialize)]
struct WrittenIp {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, deserialize_with = "index", skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
    #[serde(with = "cidr")]
    address: IpNetwork,
    #[serde(default, deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
}

/// Go's indices have a sign, and -1 is how some plugins write that they know none.
fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    Ok(Option::<i64>::deserialize(deserializer)?.and_then(|index| usize::try_from(index).ok()))
}

/// A result of 0.3.0 and later as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadResult {
    interfaces: Vec<Interface>,
    ips: Vec<WrittenIp>,
    routes: Vec<Route>,
    dns: Dns,
}

/// `ip4` and `ip6` of 0.1.0 and 0.2.0.
#[derive(Serialize, Deserialize)]
struct OldIp {
    #[serde(with = "cidr")]
    ip: IpNetwork,
    #[serde(default, deserialize_with = "ip::deserialize_optional", skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadOldResult {
    ip4: Option<OldIp>,
    ip6: Option<OldIp>,
    dns: Dns,
}

impl AddResult {
    /// The addresses of the container's interface of that name.
    ///
    /// Those whose index refers to it, and those without a valid index, as from an IPAM plugin. Some plugins have their
    /// addresses refer to the host's end of the interface: these count as the interface's if it has no others. An address of
    /// another interface of the container does not count.
    pub fn ips_of<'a>(&'a self, ifname: &'a str) -> impl Iterator<Item = &'a IpConfig> {
        let leads_to_it = move |ip: &IpConfig| self.interface_of(ip).is_none_or(|interface| interface.name == ifname);
        let leads_to_host = |ip: &IpConfig| self.interface_of(ip).is_some_and(|interface| interface.sandbox.is_empty());
        let has_own = self.ips.iter().any(leads_to_it);
        self.ips.iter().filter(move |ip| if has_own { leads_to_it(ip) } else { leads_to_host(ip) })
    }

    /// The names of the host's links that are listed, in their order. What no link can be called is none.
    pub fn links_of_host(&self) -> impl Iterator<Item = &str> {
        let on_host = self.interfaces.iter().filter(|interface| interface.sandbox.is_empty());
        on_host.map(|interface| interface.name.as_str()).filter(|name| IfName::new(*name).is_ok())
    }

    /// `None` also if the index is one too high.
    fn interface_of(&self, ip: &IpConfig) -> Option<&Interface> {
        self.interfaces.get(ip.interface?)
    }

    /// The result as JSON of that version.
    ///
    /// # Errors
    /// Code 1 if there is no address at all and the version is older than 0.3.0, which could say nothing else.
    pub fn to_json(&self, version: SpecVersion) -> Result<Value, Error> {
        if version < SpecVersion::V0_3_0 { self.to_old_json(version) } else { Ok(self.to_listed_json(version)) }
    }

    fn to_listed_json(&self, version: SpecVersion) -> Value {
        let mut object = Map::new();
        object.insert("cniVersion".into(), json!(version.as_str()));
        if !self.interfaces.is_empty() {
            object.insert("interfaces".into(), json!(self.interfaces_of(version)));
        }
        if !self.ips.is_empty() {
            object.insert("ips".into(), json!(self.ips_as_of(version)));
        }
        if !self.routes.is_empty() {
            object.insert("routes".into(), json!(self.routes));
        }
        if !self.dns.is_empty() || version < SpecVersion::V1_0_0 {
            object.insert("dns".into(), json!(self.dns));
        }
        Value::Object(object)
    }

    fn interfaces_of(&self, version: SpecVersion) -> Vec<Interface> {
        let mut interfaces = self.interfaces.clone();
        if version < SpecVersion::V1_1_0 {
            for interface in &mut interfaces {
                interface.mtu = None;
                interface.socket_path.clear();
                interface.pci_id.clear();
            }
        }
        interfaces
    }

    fn ips_as_of(&self, version: SpecVersion) -> Vec<WrittenIp> {
        let family = |address: &IpNetwork| if address.is_ipv4() { "4" } else { "6" };
        self.ips
            .iter()
            .map(|ip| WrittenIp {
                version: (version < SpecVersion::V1_0_0).then(|| family(&ip.address).to_owned()),
                interface: ip.interface,
                address: ip.address,
                gateway: ip.gateway,
            })
            .collect()
    }

    fn to_old_json(&self, version: SpecVersion) -> Result<Value, Error> {
        let old = |is_ipv4: bool| {
            self.ips.iter().find(|ip| ip.address.is_ipv4() == is_ipv4).map(|ip| OldIp {
                ip: ip.address,
                gateway: ip.gateway,
                routes: self
                    .routes
                    .iter()
                    .filter(|route| route.dst.is_ipv4() == is_ipv4)
                    .map(|route| Route::new(route.dst, route.gw))
                    .collect(),
            })
        };
        let (ip4, ip6) = (old(true), old(false));
        if ip4.is_none() && ip6.is_none() {
            return Err(Error::new(
                Code::IncompatibleVersion,
                format!("a result without an address cannot be expressed in CNI version {version}"),
            )
            .with_details("set \"cniVersion\" to 0.3.0 or later, or give the network an \"ipam\""));
        }
        let mut object = Map::new();
        object.insert("cniVersion".into(), json!(version.as_str()));
        for (key, ip) in [("ip4", ip4), ("ip6", ip6)] {
            if let Some(ip) = ip {
                object.insert(key.into(), json!(ip));
            }
        }
        object.insert("dns".into(), json!(self.dns));
        Ok(Value::Object(object))
    }

    /// Reads a result; its own `cniVersion` says in which form it is. If that is absent or empty, `asked` does.
    ///
    /// # Errors
    /// Code 6 if it is not a result, code 1 if its version is unknown.
    pub fn from_json(value: &Value, asked: SpecVersion) -> Result<Self, Error> {
        let decode = |misfit: json::Misfit| {
            Error::new(Code::Decode, "the result of an ADD cannot be read").with_details(misfit.to_string())
        };
        let version = match json::get(value, "cniVersion") {
            Some(Value::String(text)) if !text.is_empty() => SpecVersion::negotiate(text, SpecVersion::ALL)?,
            _ => asked,
        };
        if version < SpecVersion::V0_3_0 {
            return Ok(json::from_value::<ReadOldResult>(value).map_err(decode)?.into());
        }
        let read: ReadResult = json::from_value(value).map_err(decode)?;
        let ips = read
            .ips
            .into_iter()
            .map(|ip| IpConfig { interface: ip.interface, address: ip.address, gateway: ip.gateway })
            .collect();
        Ok(Self { interfaces: read.interfaces, ips, routes: read.routes, dns: read.dns })
    }
}

impl From<ReadOldResult> for AddResult {
    fn from(old: ReadOldResult) -> Self {
        let mut result = Self { dns: old.dns, ..Self::default() };
        for ip in [old.ip4, old.ip6].into_iter().flatten() {
            result.ips.push(IpConfig { interface: None, address: ip.ip, gateway: ip.gateway });
            result.routes.extend(ip.routes);
        }
        result
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn result() -> AddResult {
        AddResult {
            interfaces: vec![Interface {
                name: "eth0".into(),
                mac: "02:00:00:00:00:01".into(),
                mtu: Some(1400),
                sandbox: "/run/netns/x".into(),
                ..Interface::default()
            }],
            ips: vec![
                IpConfig {
                    interface: Some(0),
                    address: "10.1.2.3/24".parse().unwrap(),
                    gateway: Some("10.1.2.1".parse().unwrap()),
                },
                IpConfig { interface: Some(0), address: "fd00::3/64".parse().unwrap(), gateway: None },
            ],
            routes: vec![
                Route { mtu: Some(1300), ..Route::new("0.0.0.0/0".parse().unwrap(), None) },
                Route::new("fd01::/64".parse().unwrap(), Some("fd00::1".parse().unwrap())),
            ],
            dns: Dns { nameservers: vec!["10.1.2.1".into()], ..Dns::default() },
        }
    }

    #[test]
    fn every_listed_version_reads_back() {
        for version in [SpecVersion::V0_3_0, SpecVersion::V0_3_1, SpecVersion::V0_4_0, SpecVersion::V1_0_0] {
            let mut expected = result();
            expected.interfaces[0].mtu = None;
            let json = result().to_json(version).unwrap();
            assert_eq!(json["cniVersion"], version.as_str());
            assert_eq!(AddResult::from_json(&json, SpecVersion::V0_1_0).unwrap(), expected, "{version}");
        }
        let json = result().to_json(SpecVersion::V1_1_0).unwrap();
        assert_eq!(AddResult::from_json(&json, SpecVersion::V0_1_0).unwrap(), result());
    }

    #[test]
    fn the_address_family_is_told_before_1_0_only() {
        assert_eq!(result().to_json(SpecVersion::V0_4_0).unwrap()["ips"][1]["version"], "6");
        assert!(result().to_json(SpecVersion::V1_0_0).unwrap()["ips"][1].get("version").is_none());
    }

    #[test]
    fn the_oldest_form_has_one_address_of_each_family() {
        let json = result().to_json(SpecVersion::V0_2_0).unwrap();
        assert_eq!(json["ip4"]["ip"], "10.1.2.3/24");
        assert_eq!(json["ip4"]["routes"], json!([{"dst": "0.0.0.0/0"}]));
        assert_eq!(json["ip6"]["routes"], json!([{"dst": "fd01::/64", "gw": "fd00::1"}]));
        let back = AddResult::from_json(&json, SpecVersion::V0_2_0).unwrap();
        assert_eq!(back.ips.len(), 2);
        assert_eq!(back.routes.len(), 2);
        assert_eq!(json["dns"], json!({"nameservers": ["10.1.2.1"]}));
        assert_eq!(back.dns, result().dns);
        assert!(back.interfaces.is_empty());
    }

    #[test]
    fn no_address_has_no_oldest_form() {
        let error = AddResult::default().to_json(SpecVersion::V0_1_0).unwrap_err();
        assert_eq!(error.code(), Code::IncompatibleVersion);
        assert!(AddResult::default().to_json(SpecVersion::V0_3_0).is_ok());
    }

    #[test]
    fn empty_dns_is_left_out_since_1_0() {
        assert_eq!(AddResult::default().to_json(SpecVersion::V1_0_0).unwrap(), json!({"cniVersion": "1.0.0"}));
        assert_eq!(AddResult::default().to_json(SpecVersion::V0_4_0).unwrap()["dns"], json!({}));
    }

    /// The addresses of eth0, among 10.1.2.3 and fd00::3 with these indices.
    fn of_eth0(indices: [Option<usize>; 2]) -> Vec<String> {
        let mut result = result();
        result.interfaces.push(Interface {
            name: "eth1".into(),
            sandbox: "/run/netns/x".into(),
            ..Interface::default()
        });
        result.interfaces.push(Interface { name: "veth1".into(), ..Interface::default() });
        for (ip, index) in result.ips.iter_mut().zip(indices) {
            ip.interface = index;
        }
        result.ips_of("eth0").map(|ip| ip.address.ip().to_string()).collect()
    }

    #[test]
    fn addresses_of_other_interfaces_are_told_apart() {
        assert_eq!(of_eth0([Some(0), Some(1)]), ["10.1.2.3"]);
        assert_eq!(of_eth0([Some(1), Some(1)]), [""; 0]);
        for nowhere in [None, Some(99)] {
            assert_eq!(of_eth0([Some(1), nowhere]), ["fd00::3"]);
        }
    }

    #[test]
    fn addresses_of_the_hosts_end_are_the_interfaces_if_it_has_no_others() {
        assert_eq!(of_eth0([Some(2), Some(2)]), ["10.1.2.3", "fd00::3"]);
        assert_eq!(of_eth0([Some(2), Some(1)]), ["10.1.2.3"]);
        assert_eq!(of_eth0([Some(2), Some(0)]), ["fd00::3"]);
    }

    #[test]
    fn a_network_that_says_none_has_none_whatever_its_ipam_says() {
        let of_ipam = || Dns { nameservers: vec!["10.1.2.1".into()], ..Dns::default() };
        let left = |dns: Value| {
            let mut left = of_ipam();
            json::from_value::<NetworkDns>(&dns).unwrap().replace(&mut left);
            left
        };
        for nothing in [json!(null), json!({}), json!({"nameservers": null}), json!({"domain": ""})] {
            assert_eq!(left(nothing), of_ipam());
        }
        for none in [json!({"nameservers": []}), json!({"search": []}), json!({"options": []})] {
            assert_eq!(left(none), Dns::default());
        }
        assert_eq!(left(json!({"domain": "a.test"})), Dns { domain: "a.test".into(), ..Dns::default() });
    }

    #[test]
    fn what_no_link_can_be_called_is_no_link_of_the_host() {
        let names = ["", "cni0", "a/b", "a name that is too long"].map(|name| json!({"name": name}));
        let inside = json!({"name": "eth0", "sandbox": "/run/netns/x"});
        let result = json!({"interfaces": [names[0], names[1], names[2], names[3], inside, {"name": "veth1"}]});
        let result = AddResult::from_json(&result, SpecVersion::V1_0_0).unwrap();
        assert_eq!(result.links_of_host().collect::<Vec<_>>(), ["cni0", "veth1"]);
    }

    #[test]
    fn an_index_below_zero_is_none() {
        let read = |index: Value| {
            let ips = json!([{"address": "10.1.2.3/24", "interface": index}]);
            AddResult::from_json(&json!({"ips": ips}), SpecVersion::V1_0_0)
        };
        assert_eq!(read(json!(-1)).unwrap(), read(json!(null)).unwrap());
        assert_eq!(read(json!(3)).unwrap().ips[0].interface, Some(3));
        assert!(read(json!("0")).is_err());
    }

    #[test]
    fn an_empty_version_is_absent() {
        let read = |version: Value| {
            let result = json!({"cniVersion": version, "ips": [{"address": "10.1.2.3/24"}]});
            AddResult::from_json(&result, SpecVersion::V1_0_0).unwrap()
        };
        assert_eq!(read(json!("")), read(json!(null)));
        assert_eq!(read(json!("")).ips.len(), 1);
    }
}
