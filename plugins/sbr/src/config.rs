use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer};

/// The keys of `sbr`; see the README for what they do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(deserialize_with = "table")]
    pub(crate) table: Option<u32>,
    pub(crate) gateways: Gateways,
    pub(crate) add_source_hints: bool,
}

/// One gateway for each family at most.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gateways {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl Gateways {
    /// The configured gateway of the family of `source`.
    pub(crate) fn of_family(self, source: IpAddr) -> Option<IpAddr> {
        match source {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }
}

impl<'de> Deserialize<'de> for Gateways {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut gateways = Self::default();
        for gateway in Vec::<IpAddr>::deserialize(deserializer)? {
            let earlier = match gateway {
                IpAddr::V4(address) => gateways.v4.replace(address).map(IpAddr::V4),
                IpAddr::V6(address) => gateways.v6.replace(address).map(IpAddr::V6),
            };
            if let Some(earlier) = earlier {
                let both = format!("{earlier} and {gateway} are of one family, which has one gateway at most");
                return Err(serde::de::Error::custom(both));
            }
        }
        Ok(gateways)
    }
}

/// The kernel takes table 0 to mean that none is named.
fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let table = u32::deserialize(deserializer)?;
    if table == 0 { Err(serde::de::Error::custom("0 is not a routing table")) } else { Ok(Some(table)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: &serde_json::Value) -> Result<Config, cni_plugin::json::Misfit> {
        cni_plugin::json::from_value(value)
    }

    #[test]
    fn each_family_has_its_gateway() {
        let gateways = config(&json!({"gateways": ["fd00::1", "10.1.0.1"]})).unwrap().gateways;
        assert_eq!(gateways.of_family("10.9.9.9".parse().unwrap()), Some("10.1.0.1".parse().unwrap()));
        assert_eq!(gateways.of_family("fd09::9".parse().unwrap()), Some("fd00::1".parse().unwrap()));
        assert_eq!(Gateways::default().of_family("10.9.9.9".parse().unwrap()), None);
    }

    #[test]
    fn invalid_values_do_not_become_a_configuration() {
        for bad in [
            json!({"gateways": ["10.1.0.1", "10.2.0.1"]}),
            json!({"gateways": ["10.1.0.0/24"]}),
            json!({"gateways": "10.1.0.1"}),
            json!({"table": 0}),
            json!({"table": -1}),
            json!({"table": "main"}),
        ] {
            assert!(config(&bad).is_err(), "{bad}");
        }
    }
}
