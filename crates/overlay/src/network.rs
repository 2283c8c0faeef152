use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Subnet, Vni};

/// The most that labels and options may have together.
const MAX_PAIRS: usize = 256;

/// What a network is, the same on every host (`nets/<network>/config`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Network {
    /// Its number on the wire.
    pub vni: Vni,
    /// Its subnets, one or two: one for each address family.
    pub subnets: Vec<Subnet>,
    /// Nothing of it travels in clear.
    pub encrypted: bool,
    /// Its containers reach each other and nothing else.
    pub internal: bool,
    /// The largest packet that a container may send, in bytes, if the hosts' own links leave room for it; as large as they allow
    /// without.
    pub mtu: Option<u32>,
    /// What somebody has noted about it.
    pub labels: BTreeMap<String, String>,
    /// The options that it was created with.
    pub options: BTreeMap<String, String>,
    /// When, as RFC 3339 writes it.
    pub created: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    vni: Vni,
    subnets: Vec<Subnet>,
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    #[serde(default)]
    created: String,
}

impl Network {
    /// Its subnet of that family.
    #[must_use]
    pub fn subnet_of(&self, is_ipv4: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.is_ipv4() == is_ipv4)
    }
}

impl TryFrom<Written> for Network {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { vni, subnets, encrypted, internal, mtu, labels, options, created } = written;
        let of_ipv4 = subnets.iter().filter(|subnet| subnet.is_ipv4()).count();
        if subnets.is_empty() || of_ipv4 > 1 || subnets.len() - of_ipv4 > 1 {
            return Err("a network has a subnet for IPv4, or one for IPv6, or one for each".to_owned());
        }
        if mtu.is_some_and(|mtu| !(crate::mtu::SMALLEST..=crate::mtu::LARGEST).contains(&mtu)) {
            return Err(format!("mtu is not between {} and {}", crate::mtu::SMALLEST, crate::mtu::LARGEST));
        }
        if labels.len() + options.len() > MAX_PAIRS {
            return Err(format!("it has more than {MAX_PAIRS} labels and options"));
        }
        Ok(Self { vni, subnets, encrypted, internal, mtu, labels, options, created })
    }
}

impl From<Network> for Written {
    fn from(network: Network) -> Self {
        let Network { vni, subnets, encrypted, internal, mtu, labels, options, created } = network;
        Self { vni, subnets, encrypted, internal, mtu, labels, options, created }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> Result<Network, serde_json::Error> {
        serde_json::from_value(value.clone())
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        let v4 = json!({"subnet": "10.128.0.0/16", "blockLength": 26});
        let v6 = json!({"subnet": "fd00::/64", "blockLength": 112});
        let value =
            json!({"vni": 4097, "subnets": [v4, v6], "encrypted": false, "internal": true, "mtu": 1400, "created": ""});
        assert_eq!(serde_json::to_value(read(&value).unwrap()).unwrap(), value);
        let network = read(&json!({"vni": 4097, "subnets": [v6], "later": 1})).unwrap();
        assert!(network.subnet_of(true).is_none() && network.subnet_of(false).is_some());
        for wrong in [
            json!({"vni": 4097, "subnets": []}),
            json!({"vni": 4097, "subnets": [v4, v4]}),
            json!({"vni": 0, "subnets": [v4]}),
            json!({"vni": 4097, "subnets": [v4], "mtu": 10}),
            json!({"subnets": [v4]}),
            json!([]),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
