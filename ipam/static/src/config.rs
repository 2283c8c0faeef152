//! The keys of `ipam`, and the two others that name addresses.

use std::net::IpAddr;

use cni_plugin::{Dns, IpConfig, Route, cidr, ip};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Error;

/// The keys of a network configuration that matter here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    ipam: Option<Ipam>,
    pub(crate) runtime_config: Ips,
    pub(crate) args: Args,
}

/// The object `ipam` of the network configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ipam {
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    pub(crate) dns: Dns,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Args {
    pub(crate) cni: Ips,
}

/// What a runtime asks for: the capability `ips`, or `args.cni.ips`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ips {
    pub(crate) ips: Vec<Asked>,
}

impl Config {
    pub(crate) fn ipam(&self) -> Result<&Ipam, Error> {
        self.ipam.as_ref().ok_or(Error::NoIpam)
    }
}

/// An entry of `addresses`: an address with its prefix length, and its gateway.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "WrittenAddress")]
pub(crate) struct Address {
    address: IpNetwork,
    gateway: Option<IpAddr>,
}

#[derive(Deserialize)]
struct WrittenAddress {
    #[serde(with = "cidr")]
    address: IpNetwork,
    #[serde(default, deserialize_with = "ip::deserialize_optional")]
    gateway: Option<IpAddr>,
    /// The reference's own type has a field of this name beside the other; what is written from there has both.
    #[serde(default, rename = "Address")]
    _in_the_reference: IgnoredAny,
}

impl TryFrom<WrittenAddress> for Address {
    type Error = String;
    fn try_from(WrittenAddress { address, gateway, .. }: WrittenAddress) -> Result<Self, String> {
        usable(address.ip())?;
        match gateway {
            // People write an address of zeroes where they want none.
            Some(gateway) if gateway.is_unspecified() => Ok(Self { address, gateway: None }),
            Some(gateway) if gateway.is_ipv4() != address.is_ipv4() => {
                Err(format!("gateway {gateway} is of another family than address {address}"))
            }
            _ => Ok(Self { address, gateway }),
        }
    }
}

impl From<&Address> for IpConfig {
    fn from(address: &Address) -> Self {
        Self::new(address.address, address.gateway)
    }
}

/// An address that is asked for, if need be without its prefix length: some runtimes know none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Asked {
    Alone(IpAddr),
    WithPrefix(IpNetwork),
}

impl Asked {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let asked =
            if text.contains('/') { Self::WithPrefix(cidr::parse(text)?) } else { Self::Alone(ip::parse(text)?) };
        usable(asked.ip())?;
        Ok(asked)
    }

    pub(crate) fn ip(self) -> IpAddr {
        match self {
            Self::Alone(ip) => ip,
            Self::WithPrefix(network) => network.ip(),
        }
    }
}

impl TryFrom<String> for Asked {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// An interface has unicast addresses only.
fn usable(address: IpAddr) -> Result<(), String> {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err(format!("{address} is not an address that an interface could have"));
    }
    Ok(())
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
    fn what_no_interface_can_have_is_refused() {
        for bad in [
            json!({}),
            json!({"address": "10.1.0.2"}),
            json!({"address": "10.1.0.02/24"}),
            json!({"address": "0.0.0.0/0"}),
            json!({"address": "ff02::1/64"}),
            json!({"address": "255.255.255.255/32"}),
            json!({"address": "10.1.0.2/24", "gateway": "fd00::1"}),
            json!({"address": "10.1.0.2/24", "gateway": "10.1.0.1/24"}),
        ] {
            assert!(config(&json!({"ipam": {"addresses": [bad]}})).is_err(), "{bad}");
        }
        for bad in ["", "x", "10.1.0.2/33", "224.0.0.1/24"] {
            let error = config(&json!({"runtimeConfig": {"ips": ["10.1.0.2", bad]}})).unwrap_err();
            assert!(error.to_string().starts_with("runtimeConfig.ips[1]: "), "{error}");
        }
    }

    #[test]
    fn a_gateway_that_is_empty_or_zero_is_none() {
        for gateway in ["", "0.0.0.0", "::"] {
            let addresses = json!([{"address": "10.1.0.2/24", "gateway": gateway}]);
            let config = config(&json!({"ipam": {"addresses": addresses}})).unwrap();
            assert_eq!(config.ipam().unwrap().addresses[0].gateway, None);
        }
    }
}
