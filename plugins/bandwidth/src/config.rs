use cni_plugin::json;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Error;
use crate::limit::Limit;

/// The keys of `bandwidth`; see the README for what they do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    limits: Limits,
    by_subnet: bool,
}

/// One for each direction, as the container sees them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Limit of what the container receives; `None` for no limit.
    pub(crate) ingress: Option<Limit>,
    /// Limit of what the container sends; `None` for no limit.
    pub(crate) egress: Option<Limit>,
}

impl Config {
    /// The limits for both directions, unless the configuration restricts them to subnets, which is not supported.
    pub(crate) fn limits(&self) -> Result<Limits, Error> {
        if self.by_subnet { Err(Error::BySubnet) } else { Ok(self.limits) }
    }
}

/// The keys as they are written, in the network's configuration or in the capability.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Keys {
    ingress_rate: Option<u64>,
    ingress_burst: Option<u64>,
    egress_rate: Option<u64>,
    egress_burst: Option<u64>,
    shaped_subnets: Vec<String>,
    unshaped_subnets: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Capability {
    runtime_config: RuntimeConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    bandwidth: Keys,
}

impl<'de> Deserialize<'de> for Config {
    /// Any key of the network's makes the capability count for nothing, as in the reference.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let of_network: Keys = json::from_value(&value).map_err(D::Error::custom)?;
        let of_runtime: Capability = json::from_value(&value).map_err(D::Error::custom)?;
        let is_silent = of_network == Keys::default();
        let keys = if is_silent { of_runtime.runtime_config.bandwidth } else { of_network };
        keys.try_into().map_err(D::Error::custom)
    }
}

impl TryFrom<Keys> for Config {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let by_subnet = !(keys.shaped_subnets.is_empty() && keys.unshaped_subnets.is_empty());
        let ingress = Limit::from_bits("ingress", keys.ingress_rate, keys.ingress_burst)?;
        let egress = Limit::from_bits("egress", keys.egress_rate, keys.egress_burst)?;
        Ok(Self { limits: Limits { ingress, egress }, by_subnet })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: &Value) -> Result<Config, json::Misfit> {
        json::from_value(value)
    }

    fn limits(value: &Value) -> Limits {
        config(value).unwrap().limits().unwrap()
    }

    #[test]
    fn a_key_of_the_network_silences_the_capability() {
        let runtime = json!({"bandwidth": {"egressRate": 8000, "egressBurst": 80_000}});
        let limit = Limit { rate: 1000, burst: 10_000 };
        assert_eq!(limits(&json!({"runtimeConfig": runtime})), Limits { ingress: None, egress: Some(limit) });
        let both = json!({"IngressRate": 8000, "ingressburst": 80_000, "runtimeConfig": runtime});
        assert_eq!(limits(&both), Limits { ingress: Some(limit), egress: None });
        assert_eq!(limits(&json!({"ingressRate": 0, "runtimeConfig": runtime})), Limits::default());
        assert_eq!(limits(&json!({"runtimeConfig": null})), Limits::default());
    }

    #[test]
    fn wrong_values_do_not_become_a_configuration() {
        for (bad, named) in [
            (json!({"ingressRate": 8000}), "ingressBurst"),
            (json!({"egressBurst": 8000}), "egressRate"),
            (json!({"ingressRate": 8000, "ingressBurst": 0}), "ingressBurst"),
            (json!({"ingressRate": 7, "ingressBurst": 80_000}), "ingressRate"),
            (json!({"egressRate": 8000, "egressBurst": 34_359_738_360_u64}), "egressBurst"),
            (json!({"egressRate": -1, "egressBurst": 8000}), "egressRate"),
            (json!({"egressRate": "1M", "egressBurst": 8000}), "egressRate"),
            (json!({"runtimeConfig": {"bandwidth": {"ingressRate": 1.5}}}), "runtimeConfig.bandwidth.ingressRate"),
            (json!({"shapedSubnets": "10.0.0.0/8"}), "shapedSubnets"),
        ] {
            let error = config(&bad).unwrap_err().to_string();
            assert!(error.contains(named), "{bad}: {error}");
        }
    }

    #[test]
    fn subnets_are_told_apart_from_mistakes() {
        for key in ["shapedSubnets", "unshapedSubnets"] {
            let config = config(&json!({"runtimeConfig": {"bandwidth": {key: ["10.0.0.0/8"]}}})).unwrap();
            assert!(matches!(config.limits(), Err(Error::BySubnet)), "{key}");
        }
        assert!(config(&json!({"shapedSubnets": []})).unwrap().limits().is_ok());
    }
}
