use std::net::IpAddr;

use cluster::{ConfigArgs, Ips};
use cni_plugin::{Args, Network, NetworkDns, NetworkName};
use masquerade::Backend;
use serde::Deserialize;

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
    runtime_config: Ips,
}

impl Config {
    /// The overlay network: the one that is named, or that of the configuration's own name.
    pub(crate) fn network(&self, network: &Network<Self>) -> NetworkName {
        self.network.clone().unwrap_or_else(|| network.name.clone())
    }

    /// The addresses that are asked for.
    pub(crate) fn wishes(&self, environment: &Args) -> Result<Vec<IpAddr>, cluster::Error> {
        cluster::wishes(environment, &self.args, &self.runtime_config)
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
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [json!({"mtu": -1}), json!({"network": "a/b"}), json!({"runtimeConfig": {"ips": 1}})] {
            assert!(config(&bad).is_err(), "{bad}");
        }
        let asking = config(&json!({"runtimeConfig": {"ips": ["10.1.0.5/16", "10.1.0.5"]}})).unwrap();
        assert_eq!(asking.wishes(&Args::new("IP=10.1.0.6")).unwrap().len(), 2);
    }
}
