use std::net::IpAddr;

use cni_plugin::ip;
use iptables::{Argument, Chain};
use nftables::Protocol;
use serde::{Deserialize, Deserializer};

use crate::Error;

/// The keys of `portmap`; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    backend: Option<Backend>,
    pub(crate) snat: bool,
    pub(crate) masq_all: bool,
    mark_masq_bit: Option<MarkBit>,
    #[serde(deserialize_with = "optional_chain")]
    external_set_mark_chain: Option<Chain>,
    #[serde(deserialize_with = "arguments")]
    conditions_v4: Vec<Argument>,
    #[serde(deserialize_with = "arguments")]
    conditions_v6: Vec<Argument>,
    runtime_config: Runtime,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: None,
            snat: true,
            masq_all: false,
            mark_masq_bit: None,
            external_set_mark_chain: None,
            conditions_v4: Vec::new(),
            conditions_v6: Vec::new(),
            runtime_config: Runtime::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runtime {
    #[serde(deserialize_with = "of_this_host")]
    port_mappings: Vec<PortMapping>,
}

/// Ports that every host of an overlay network answers are published by that network's plugin.
fn of_this_host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PortMapping>, D::Error> {
    let mut mappings = Vec::<PortMapping>::deserialize(deserializer)?;
    mappings.retain(|mapping| !mapping.ingress);
    Ok(mappings)
}

/// One published port: the capability `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortMapping {
    #[serde(deserialize_with = "port")]
    pub(crate) host_port: u16,
    #[serde(deserialize_with = "port")]
    pub(crate) container_port: u16,
    #[serde(default = "tcp", deserialize_with = "protocol")]
    pub(crate) protocol: Protocol,
    #[serde(default, rename = "hostIP", deserialize_with = "ip::deserialize_optional")]
    pub(crate) host_ip: Option<IpAddr>,
    #[serde(default)]
    ingress: bool,
}

impl PortMapping {
    /// Whether a container's address can stand behind this mapping: a host address of one family says nothing about the
    /// other.
    pub(crate) fn serves(&self, address: IpAddr) -> bool {
        self.host_ip.is_none_or(|host| host.is_ipv4() == address.is_ipv4())
    }

    /// The host's address; none for all of its addresses.
    pub(crate) fn specific_host(&self) -> Option<IpAddr> {
        self.host_ip.filter(|host| !host.is_unspecified())
    }
}

/// What rewrites the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Nftables,
    Iptables,
    #[serde(rename = "")]
    Unset,
}

/// A bit of the packet mark, 0 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
struct MarkBit(u8);

impl TryFrom<u8> for MarkBit {
    type Error = String;
    fn try_from(bit: u8) -> Result<Self, String> {
        if bit < 32 { Ok(Self(bit)) } else { Err(format!("a mark has bits 0 to 31, not {bit}")) }
    }
}

/// Which packet filter does the work, and what it needs to know.
#[derive(Debug, Clone)]
pub(crate) enum Method {
    Nftables,
    Iptables(iptables::portmap::Masquerading),
}

impl Config {
    /// The ports that the runtime passes by the capability `portMappings`.
    pub(crate) fn ports(&self) -> &[PortMapping] {
        &self.runtime_config.port_mappings
    }

    /// The user's own conditions for one family, in iptables' words.
    pub(crate) fn conditions(&self, is_ipv4: bool) -> &[Argument] {
        if is_ipv4 { &self.conditions_v4 } else { &self.conditions_v6 }
    }

    /// The packet filter to use: nftables, unless iptables is asked for or only iptables can do what is asked.
    pub(crate) fn method(&self) -> Result<Method, Error> {
        if self.external_set_mark_chain.is_some() && self.mark_masq_bit.is_some() {
            return Err(Error::TwoMarks);
        }
        let only_iptables = self.keys_for_iptables().next();
        match (self.backend, only_iptables) {
            (Some(Backend::Nftables), Some(key)) => Err(Error::NeedsIptables { key }),
            (Some(Backend::Iptables), _) | (None | Some(Backend::Unset), Some(_)) => {
                Ok(Method::Iptables(self.masquerading()))
            }
            _ => Ok(Method::Nftables),
        }
    }

    fn keys_for_iptables(&self) -> impl Iterator<Item = &'static str> {
        [
            ("externalSetMarkChain", self.external_set_mark_chain.is_some()),
            ("conditionsV4", !self.conditions_v4.is_empty()),
            ("conditionsV6", !self.conditions_v6.is_empty()),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    /// How the rules of the backend `iptables` mark what has to be masqueraded.
    pub(crate) fn masquerading(&self) -> iptables::portmap::Masquerading {
        use iptables::portmap::Masquerading;
        /// The bit that the reference uses, next to those of Kubernetes (14 and 15).
        const DEFAULT_BIT: u8 = 13;
        match &self.external_set_mark_chain {
            _ if !self.snat => Masquerading::Off,
            Some(chain) => Masquerading::External(chain.clone()),
            None => Masquerading::Bit(self.mark_masq_bit.map_or(DEFAULT_BIT, |bit| bit.0)),
        }
    }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match i64::deserialize(deserializer)? {
        port @ 1..=65535 => u16::try_from(port).map_err(serde::de::Error::custom),
        port => Err(serde::de::Error::custom(format_args!("{port} is not a port: use 1 to 65535"))),
    }
}

fn tcp() -> Protocol {
    Protocol::Tcp
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
    match String::deserialize(deserializer)?.to_ascii_lowercase().as_str() {
        "" => Ok(Protocol::Tcp),
        word => word
            .parse()
            .map_err(|_| serde::de::Error::custom(format_args!("{word:?} has no ports: use tcp, udp or sctp"))),
    }
}

fn optional_chain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Chain>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        name => Chain::new(name).map(Some).map_err(serde::de::Error::custom),
    }
}

fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Argument>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    words.iter().map(|word| Argument::new(word)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(value: &Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    fn mapping(value: &Value) -> Result<PortMapping, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    #[test]
    fn a_mapping_needs_two_ports_only() {
        let mapping = mapping(&json!({"HostPort": 8080, "containerPort": 80, "hostIp": ""})).unwrap();
        assert_eq!((mapping.host_port, mapping.container_port, mapping.protocol), (8080, 80, Protocol::Tcp));
        assert_eq!(mapping.host_ip, None);
    }

    #[test]
    fn ports_that_every_host_answers_are_another_plugin_s() {
        let mappings =
            json!([{"hostPort": 1, "containerPort": 2, "ingress": true}, {"hostPort": 3, "containerPort": 4}]);
        let config = config(&json!({"runtimeConfig": {"portMappings": mappings}})).unwrap();
        assert_eq!(config.ports().iter().map(|mapping| mapping.host_port).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn impossible_mappings_are_refused() {
        for bad in [
            json!({"hostPort": 0, "containerPort": 80}),
            json!({"hostPort": 80, "containerPort": 70000}),
            json!({"hostPort": -1, "containerPort": 80}),
            json!({"hostPort": 80}),
            json!({"hostPort": 80, "containerPort": 80, "protocol": "icmp"}),
            json!({"hostPort": 80, "containerPort": 80, "hostIP": "localhost"}),
        ] {
            assert!(mapping(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_address_serves_its_own_family() {
        let with = |host: &str| mapping(&json!({"hostPort": 1, "containerPort": 1, "hostIP": host})).unwrap();
        let (v4, v6) = ("10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap());
        assert!(with("").serves(v4) && with("").serves(v6));
        assert!(with("0.0.0.0").serves(v4) && !with("0.0.0.0").serves(v6));
        assert!(!with("::1").serves(v4) && with("::1").serves(v6));
        assert_eq!(with("0.0.0.0").specific_host(), None);
        assert_eq!(with("::").specific_host(), None);
        assert!(with("127.0.0.1").specific_host().is_some());
    }

    #[test]
    fn iptables_is_used_when_asked_for_or_needed() {
        let method = |value| config(&value).unwrap().method();
        assert!(matches!(method(json!({})), Ok(Method::Nftables)));
        assert!(matches!(method(json!({"backend": ""})), Ok(Method::Nftables)));
        assert!(matches!(method(json!({"backend": "iptables"})), Ok(Method::Iptables(_))));
        assert!(matches!(method(json!({"conditionsV4": ["-s", "10.0.0.0/8"]})), Ok(Method::Iptables(_))));
        assert!(matches!(method(json!({"externalSetMarkChain": "KUBE-MARK-MASQ"})), Ok(Method::Iptables(_))));
        assert!(method(json!({"backend": "nftables", "conditionsV6": ["-i", "x"]})).is_err());
        assert!(method(json!({"externalSetMarkChain": "X", "markMasqBit": 3})).is_err());
        assert!(config(&json!({"backend": "pf"})).is_err());
        assert!(config(&json!({"markMasqBit": 32})).is_err());
    }

    #[test]
    fn masquerade_marks_as_the_reference_does() {
        use iptables::portmap::Masquerading;
        let masquerading = |value| config(&value).unwrap().masquerading();
        assert!(matches!(masquerading(json!({})), Masquerading::Bit(13)));
        assert!(matches!(masquerading(json!({"markMasqBit": 5})), Masquerading::Bit(5)));
        assert!(matches!(masquerading(json!({"snat": false})), Masquerading::Off));
    }
}
