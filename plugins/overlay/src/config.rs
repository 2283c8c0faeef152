use std::net::IpAddr;

use cluster::{ConfigArgs, Ips};
use cni_plugin::{Args, Network, NetworkDns, NetworkName, ip};
use masquerade::Backend;
use nftables::Protocol;
use overlay::ingress::Port;
use serde::{Deserialize, Deserializer};

use crate::Error;

/// The keys of an `overlay` network; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    network: Option<NetworkName>,
    ip_masq: Option<bool>,
    ip_masq_backend: Backend,
    mtu: u32,
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) dns: NetworkDns,
    args: ConfigArgs,
    /// Every published port is one that every host answers.
    ingress: bool,
    runtime_config: Runtime,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runtime {
    ips: Vec<String>,
    port_mappings: Vec<PortMapping>,
}

/// One published port. Those of one host alone are `portmap`'s, whatever they say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortMapping {
    host_port: i64,
    container_port: i64,
    #[serde(deserialize_with = "text")]
    protocol: String,
    #[serde(rename = "hostIP", deserialize_with = "text")]
    host_ip: String,
    ingress: bool,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A port that every host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) port: Port,
    pub(crate) container_port: u16,
    /// Of this family only.
    only: Option<bool>,
}

impl Wanted {
    /// Whether a container's address can stand behind it.
    pub(crate) fn serves(&self, address: IpAddr) -> bool {
        self.only.is_none_or(|ipv4| address.is_ipv4() == ipv4)
    }
}

impl PortMapping {
    fn wanted(&self) -> Result<Wanted, Error> {
        let port = |number: i64| u16::try_from(number).ok().filter(|port| *port != 0).ok_or(Error::NoPort(number));
        let protocol = match self.protocol.to_ascii_lowercase().as_str() {
            "" => Protocol::Tcp,
            word => word.parse().map_err(|_| Error::NoProtocol(self.protocol.clone()))?,
        };
        let port_of_hosts = Port { protocol, port: port(self.host_port)? };
        let address = match self.host_ip.as_str() {
            "" => None,
            text => Some(ip::parse(text).map_err(|_| Error::HostAddress(port_of_hosts, text.to_owned()))?),
        };
        if address.is_some_and(|address| !address.is_unspecified()) {
            return Err(Error::HostAddress(port_of_hosts, self.host_ip.clone()));
        }
        let only = address.map(|address| address.is_ipv4());
        Ok(Wanted { port: port_of_hosts, container_port: port(self.container_port)?, only })
    }
}

impl Config {
    /// The overlay network: the one that is named, or that of the configuration's own name.
    pub(crate) fn network(&self, network: &Network<Self>) -> NetworkName {
        self.network.clone().unwrap_or_else(|| network.name.clone())
    }

    /// The addresses that are asked for.
    pub(crate) fn wishes(&self, environment: &Args) -> Result<Vec<IpAddr>, cluster::Error> {
        cluster::wishes(environment, &self.args, &Ips::from(self.runtime_config.ips.clone()))
    }

    /// The ports that every host is to answer.
    pub(crate) fn ports(&self) -> Result<Vec<Wanted>, Error> {
        let mappings = self.runtime_config.port_mappings.iter().filter(|mapping| self.ingress || mapping.ingress);
        mappings.map(PortMapping::wanted).collect()
    }

    /// What masquerades; nothing does in an internal network, which nothing leaves.
    pub(crate) fn masquerade(&self, internal: bool) -> Option<Backend> {
        (self.ip_masq.unwrap_or(true) && !internal).then_some(self.ip_masq_backend)
    }

    /// The MTU of a container whose packets can have that size on every host.
    pub(crate) fn mtu(&self, largest: u32) -> u32 {
        if self.mtu == 0 { largest } else { self.mtu.min(largest) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(value: &Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    #[test]
    fn what_leaves_a_network_is_masqueraded_unless_it_must_not() {
        assert_eq!(config(&json!({})).unwrap().masquerade(false), Some(Backend::Nftables));
        assert_eq!(config(&json!({})).unwrap().masquerade(true), None);
        assert_eq!(config(&json!({"ipMasq": false})).unwrap().masquerade(false), None);
        assert_eq!(config(&json!({"ipMasqBackend": "iptables"})).unwrap().masquerade(false), Some(Backend::Iptables));
    }

    #[test]
    fn no_container_sends_what_would_not_fit() {
        let mtu = |value| config(&json!({"mtu": value})).unwrap().mtu(1450);
        assert_eq!([mtu(0), mtu(1400), mtu(9000)], [1450, 1400, 1450]);
    }

    #[test]
    fn ports_of_one_host_are_another_plugin_s() {
        let mappings = json!([
            {"hostPort": 80, "containerPort": 8080, "protocol": "TCP", "hostIP": "0.0.0.0"},
            {"hostPort": 53, "containerPort": 5353, "protocol": "udp", "ingress": true},
            {"hostPort": 0, "containerPort": 1, "hostIP": "192.0.2.1", "protocol": "icmp"},
        ]);
        let ports = |value| config(&value).unwrap().ports();
        let one = ports(json!({"runtimeConfig": {"portMappings": mappings}})).unwrap();
        let port = Port { protocol: Protocol::Udp, port: 53 };
        assert_eq!(one, [Wanted { port, container_port: 5353, only: None }]);
        let all =
            ports(json!({"ingress": true, "runtimeConfig": {"portMappings": [mappings[0], mappings[1]]}})).unwrap();
        assert!(all[0].serves([10, 0, 0, 1].into()) && !all[0].serves(std::net::Ipv6Addr::LOCALHOST.into()));
        assert_eq!(all.len(), 2);
        for bad in [
            json!({"hostPort": 0, "containerPort": 1}),
            json!({"hostPort": 1, "containerPort": 65536}),
            json!({"hostPort": 1, "containerPort": 1, "protocol": "icmp"}),
            json!({"hostPort": 1, "containerPort": 1, "hostIP": "192.0.2.1"}),
            json!({"hostPort": 1, "containerPort": 1, "hostIP": "here"}),
        ] {
            assert!(ports(json!({"ingress": true, "runtimeConfig": {"portMappings": [bad]}})).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [json!({"mtu": -1}), json!({"network": "a/b"}), json!({"runtimeConfig": {"ips": 1}})] {
            assert!(config(&bad).is_err(), "{bad}");
        }
        let asking = config(&json!({"runtimeConfig": {"ips": ["10.1.0.5/16", "10.1.0.5"]}})).unwrap();
        assert_eq!(asking.wishes(&Args::new("IP=10.1.0.6")).unwrap().len(), 2);
    }
}
