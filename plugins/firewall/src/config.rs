use iptables::Chain;
use nftables::Confinement;
use serde::{Deserialize, Deserializer};

use crate::{Error, Host};

/// The keys of `firewall`; see the README for what they do.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    backend: BackendKey,
    #[serde(deserialize_with = "chain")]
    pub(crate) iptables_admin_chain_name: Chain,
    #[serde(deserialize_with = "zone")]
    pub(crate) firewalld_zone: String,
    pub(crate) ingress_policy: IngressPolicy,
    pub(crate) unpublished_ports: UnpublishedPorts,
    #[serde(deserialize_with = "confinement")]
    pub(crate) confinement: Option<Confinement>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: BackendKey::default(),
            iptables_admin_chain_name: iptables::firewall::default_admin_chain(),
            firewalld_zone: DEFAULT_ZONE.to_owned(),
            ingress_policy: IngressPolicy::default(),
            unpublished_ports: UnpublishedPorts::default(),
            confinement: None,
        }
    }
}

/// firewalld's zone in which everything is allowed.
const DEFAULT_ZONE: &str = "trusted";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackendKey {
    #[default]
    #[serde(rename = "")]
    Choose,
    Nftables,
    Iptables,
    Firewalld,
    /// Any other word, "none" for one: the reference takes it for none at all.
    #[serde(other)]
    Unknown,
}

/// Who may open connections to a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IngressPolicy {
    /// Everyone.
    #[default]
    #[serde(alias = "")]
    Open,
    /// Not the containers of other networks that have such a policy.
    SameBridge,
    /// Nor those of its own.
    Isolated,
}

/// Whether other machines reach ports of a container that it does not publish, through the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnpublishedPorts {
    /// If they have a route.
    #[default]
    #[serde(alias = "")]
    Open,
    Closed,
}

/// What lets containers' traffic through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Nftables,
    Iptables,
    Firewalld,
}

impl Config {
    /// The backend is a word without meaning.
    pub(crate) fn has_unknown_backend(&self) -> bool {
        self.backend == BackendKey::Unknown
    }

    /// The backend asked for, or the one that fits this host: firewalld where it runs, else nftables.
    ///
    /// # Errors
    /// If it cannot be known whether firewalld runs.
    pub(crate) fn backend(&self, host: &Host) -> Result<Backend, Error> {
        Ok(match self.backend {
            BackendKey::Nftables => Backend::Nftables,
            BackendKey::Iptables => Backend::Iptables,
            BackendKey::Firewalld => Backend::Firewalld,
            BackendKey::Choose | BackendKey::Unknown if host.runs_firewalld()? => Backend::Firewalld,
            BackendKey::Choose | BackendKey::Unknown => Backend::Nftables,
        })
    }
}

fn confinement<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Confinement>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        "network" => Ok(Some(Confinement::Internal)),
        "outside" => Ok(Some(Confinement::Apart)),
        other => Err(serde::de::Error::custom(format_args!("{other:?} is no confinement: use network or outside"))),
    }
}

fn chain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Chain, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(iptables::firewall::default_admin_chain()),
        name => Chain::new(name).map_err(serde::de::Error::custom),
    }
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let zone = String::deserialize(deserializer)?;
    Ok(if zone.is_empty() { DEFAULT_ZONE.to_owned() } else { zone })
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
    fn absent_and_empty_keys_have_the_reference_s_defaults() {
        let empty = json!({"backend": "", "iptablesAdminChainName": "", "firewalldZone": "", "ingressPolicy": ""});
        for value in [json!({}), empty] {
            let config = config(&value).unwrap();
            assert_eq!(config.iptables_admin_chain_name.as_str(), "CNI-ADMIN");
            assert_eq!(config.firewalld_zone, "trusted");
            assert_eq!(config.ingress_policy, IngressPolicy::Open);
        }
    }

    #[test]
    fn policies_have_the_reference_s_names() {
        let policy = |name| config(&json!({"ingressPolicy": name})).unwrap().ingress_policy;
        assert_eq!(policy("open"), IngressPolicy::Open);
        assert_eq!(policy("same-bridge"), IngressPolicy::SameBridge);
        assert_eq!(policy("isolated"), IngressPolicy::Isolated);
        assert!(config(&json!({"ingressPolicy": "closed"})).is_err());
    }

    #[test]
    fn unpublished_ports_are_open_unless_they_are_closed() {
        let ports = |value| config(&value).map(|config| config.unpublished_ports);
        for open in [json!({}), json!({"unpublishedPorts": ""}), json!({"unpublishedPorts": "open"})] {
            assert_eq!(ports(open).unwrap(), UnpublishedPorts::Open);
        }
        assert_eq!(ports(json!({"unpublishedPorts": "closed"})).unwrap(), UnpublishedPorts::Closed);
        assert!(ports(json!({"unpublishedPorts": "shut"})).is_err());
    }

    #[test]
    fn a_backend_asked_for_is_not_questioned() {
        for (name, backend) in
            [("nftables", Backend::Nftables), ("iptables", Backend::Iptables), ("firewalld", Backend::Firewalld)]
        {
            assert_eq!(config(&json!({"backend": name})).unwrap().backend(&Host::default()).unwrap(), backend);
        }
        let chosen = config(&json!({})).unwrap().backend(&Host::default()).unwrap();
        for unknown in ["none", "pf", "IPTABLES"] {
            assert_eq!(
                config(&json!({"backend": unknown})).unwrap().backend(&Host::default()).unwrap(),
                chosen,
                "{unknown}"
            );
        }
        assert!(config(&json!({"backend": 1})).is_err());
        assert!(config(&json!({"iptablesAdminChainName": "a b"})).is_err());
    }
}
