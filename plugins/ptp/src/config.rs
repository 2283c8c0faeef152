use cni_plugin::NetworkDns;
use masquerade::Backend;
use serde::Deserialize;

/// The keys of a `ptp` network; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    ip_masq: bool,
    ip_masq_backend: Backend,
    mtu: u32,
    pub(crate) router_advertisements: Option<bool>,
    pub(crate) dns: NetworkDns,
}

impl Config {
    /// What masquerades; `None` where nothing does.
    pub(crate) fn masquerade(&self) -> Option<Backend> {
        self.ip_masq.then_some(self.ip_masq_backend)
    }

    /// The MTU to set; 0 in the configuration leaves it to the kernel.
    pub(crate) fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
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
    fn absent_keys_have_the_reference_s_defaults() {
        let config = config(&json!({})).unwrap();
        assert_eq!((config.masquerade(), config.mtu()), (None, None));
        assert_eq!(config.dns, NetworkDns::default());
    }

    #[test]
    fn a_backend_masquerades_only_if_it_is_asked_to() {
        let backend = |value| config(&value).unwrap().masquerade();
        assert_eq!(backend(json!({"ipMasqBackend": "iptables"})), None);
        assert_eq!(backend(json!({"ipMasq": true})), Some(Backend::Nftables));
        assert_eq!(backend(json!({"ipMasq": true, "ipMasqBackend": "iptables"})), Some(Backend::Iptables));
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [json!({"mtu": -1}), json!({"ipMasq": "yes"}), json!({"ipMasqBackend": "pf"})] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
