use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use cni_plugin::{ip, json};
use names::{Host, Link, Listen, Name, PORT};
use serde::{Deserialize, Deserializer};

/// How long an answer may be kept at most, in seconds (RFC 2181, section 8).
const LONGEST_TTL: u32 = i32::MAX.cast_unsigned();

/// The keys of `dnsname`; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(deserialize_with = "json::unless_empty")]
    pub(crate) domain_name: Option<Name>,
    #[serde(deserialize_with = "listen")]
    pub(crate) listen: Listen,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) forward: Option<bool>,
    #[serde(deserialize_with = "ttl")]
    pub(crate) ttl: u32,
    pub(crate) intercept: bool,
    pub(crate) links: Vec<Link>,
    pub(crate) hosts: Vec<HostKey>,
    pub(crate) runtime_config: RuntimeConfig,
}

/// What a runtime passes for one container, by the capabilities `aliases` and `dns`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuntimeConfig {
    /// By network.
    pub(crate) aliases: BTreeMap<String, Option<Vec<String>>>,
    pub(crate) dns: RuntimeDns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuntimeDns {
    pub(crate) servers: Vec<String>,
}

/// A server to ask: an address, with a port if it is not the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Upstream(pub(crate) SocketAddr);

impl std::str::FromStr for Upstream {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT)).or_else(|_| text.parse());
        let usable = address.ok().filter(|server: &SocketAddr| !server.ip().is_unspecified() && server.port() != 0);
        usable.map(Self).ok_or_else(|| {
            format!("{text:?} is no DNS server's address, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353")
        })
    }
}

impl TryFrom<String> for Upstream {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A name that this container alone knows.
#[derive(Debug, Deserialize)]
pub(crate) struct HostKey {
    name: Name,
    #[serde(default)]
    addresses: Vec<HostAddress>,
}

/// The word stands for the network's gateways, which nobody knows before ADD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum HostAddress {
    Gateway,
    Address(IpAddr),
}

impl TryFrom<String> for HostAddress {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "host-gateway" { Ok(Self::Gateway) } else { ip::parse(&text).map(Self::Address) }
    }
}

impl HostKey {
    /// With the addresses that it has for a container with these gateways.
    pub(crate) fn resolved(&self, gateways: &[IpAddr]) -> Host {
        let addresses = self.addresses.iter().flat_map(|address| match address {
            HostAddress::Gateway => gateways.to_vec(),
            HostAddress::Address(address) => vec![*address],
        });
        Host { name: self.name.clone(), addresses: addresses.collect() }
    }
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
    let words = [("rewrite", Listen::Rewrite), ("direct", Listen::Direct), ("gateway", Listen::Gateway)];
    json::one_of(deserializer, &words)
}

fn ttl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let ttl = u32::deserialize(deserializer)?;
    if ttl <= LONGEST_TTL {
        return Ok(ttl);
    }
    Err(serde::de::Error::custom(format_args!("{ttl} is more seconds than an answer may be kept, {LONGEST_TTL}")))
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
    fn what_podman_writes_is_read() {
        let podman = json!({
            "type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true},
            "runtimeConfig": {"aliases": {"web": ["www", "0123456789ab"], "other": null}},
        });
        let config = config(&podman).unwrap();
        assert_eq!(config.domain_name.unwrap().as_str(), "dns.podman");
        assert_eq!(config.runtime_config.aliases["web"].as_ref().unwrap(), &["www", "0123456789ab"]);
        assert_eq!((config.listen, config.ttl, config.intercept), (Listen::Rewrite, 0, false));
    }

    #[test]
    fn a_server_may_have_a_port() {
        let servers = json!({"upstreams": ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]});
        let servers: Vec<_> = config(&servers).unwrap().upstreams.iter().map(|server| server.0.to_string()).collect();
        assert_eq!(servers, ["192.0.2.53:53", "192.0.2.53:5353", "[2001:db8::53]:53", "[2001:db8::53]:5353"]);
    }

    #[test]
    fn the_host_s_gateway_has_the_addresses_of_the_network_s() {
        let hosts = json!({"hosts": [{"name": "me", "addresses": ["192.0.2.9", "host-gateway"]}]});
        let key = &config(&hosts).unwrap().hosts[0];
        let addresses =
            |gateways: &[IpAddr]| key.resolved(gateways).addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        let gateways = ["10.1.0.1", "fd00::1"].map(|address| address.parse().unwrap());
        assert_eq!(addresses(&gateways), ["192.0.2.9", "10.1.0.1", "fd00::1"]);
        assert_eq!(addresses(&[]), ["192.0.2.9"]);
    }

    #[test]
    fn no_domain_is_none() {
        assert_eq!(config(&json!({"domainName": ""})).unwrap().domain_name, None);
        assert_eq!(config(&json!({})).unwrap().domain_name, None);
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"domainName": "a b"}),
            json!({"domainName": "a\nnameserver 192.0.2.1"}),
            json!({"domainName": ["dns.podman"]}),
            json!({"listen": "everywhere"}),
            json!({"upstreams": ["one.one.one.one"]}),
            json!({"upstreams": ["0.0.0.0"]}),
            json!({"upstreams": ["192.0.2.53:0"]}),
            json!({"upstreams": "192.0.2.53"}),
            json!({"forward": "yes"}),
            json!({"ttl": -1}),
            json!({"ttl": 2_147_483_648_u32}),
            json!({"intercept": 1}),
            json!({"links": [{"alias": "a b", "container": "db"}]}),
            json!({"links": [{"alias": "sql"}]}),
            json!({"hosts": [{"name": "", "addresses": ["192.0.2.9"]}]}),
            json!({"hosts": [{"name": "printer", "addresses": ["here"]}]}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
