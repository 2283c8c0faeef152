use cni::{ContainerId, IfName};
use names::Known;
use serde::{Deserialize, Serialize};

use crate::HostId;

/// The most addresses that an endpoint can have, the most aliases, and the most ports.
const MAX_ADDRESSES: usize = 16;
const MAX_ALIASES: usize = 64;
const MAX_PORTS: usize = 256;

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

/// A container's interface that others can find, and by which names (`nets/<network>/names/<host>/<container>:<interface>`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Known", into = "Known")]
pub struct Endpoint(pub Known);

impl TryFrom<Known> for Endpoint {
    type Error = String;

    fn try_from(known: Known) -> Result<Self, String> {
        let Known { addresses, aliases, ports, .. } = &known;
        if addresses.len() > MAX_ADDRESSES || aliases.len() > MAX_ALIASES || ports.len() > MAX_PORTS {
            return Err(format!(
                "it has more than {MAX_ADDRESSES} addresses, {MAX_ALIASES} aliases or {MAX_PORTS} ports"
            ));
        }
        Ok(Self(known))
    }
}

impl From<Endpoint> for Known {
    fn from(Endpoint(known): Endpoint) -> Self {
        known
    }
}
