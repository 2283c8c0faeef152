use std::net::IpAddr;

use cni::{ContainerId, IfName};
use serde::{Deserialize, Serialize};

use crate::HostId;

/// The most addresses that an endpoint can have.
const MAX_ADDRESSES: usize = 16;
/// The most names, and the longest.
const MAX_NAMES: usize = 64;
const LONGEST_NAME: usize = 253;

/// One address that a host has for a container although it is not in the host's own blocks (`nets/<network>/addrs/<ip>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose container has it.
    pub host: HostId,
    /// The container.
    pub container: ContainerId,
    /// Its interface.
    pub interface: IfName,
    /// The owner of the block that the address is in has made sure that none of its own containers has it. Always, where nobody owns
    /// the block.
    #[serde(default)]
    pub granted: bool,
}

/// A container's interface that others can find (`nets/<network>/names/<host>/<container>:<interface>`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Endpoint {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The container's name and its aliases.
    pub names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

impl TryFrom<Written> for Endpoint {
    type Error = String;

    fn try_from(Written { addresses, names }: Written) -> Result<Self, String> {
        if addresses.len() > MAX_ADDRESSES || names.len() > MAX_NAMES {
            return Err(format!("it has more than {MAX_ADDRESSES} addresses or {MAX_NAMES} names"));
        }
        let is_name = |name: &String| {
            (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(|char| char.is_ascii_graphic())
        };
        if !names.iter().all(is_name) {
            return Err(format!("a name has other than 1 to {LONGEST_NAME} visible characters"));
        }
        Ok(Self { addresses, names })
    }
}

impl From<Endpoint> for Written {
    fn from(Endpoint { addresses, names }: Endpoint) -> Self {
        Self { addresses, names }
    }
}
