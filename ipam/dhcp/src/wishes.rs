//! What a client tells a server about itself and asks of it.

use std::net::IpAddr;

use cni_plugin::Attachment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use ip::Family;

/// What the network configuration says about the leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wishes {
    /// Options of DHCPv4 to send, each with its value.
    pub(crate) provide: Vec<(u8, Vec<u8>)>,
    /// Options of DHCPv4 to ask for.
    pub(crate) request: Vec<u8>,
    /// The metric of routes.
    pub(crate) priority: Option<u32>,
    /// Leave out the gateway and default routes.
    pub(crate) suppress_gateway: bool,
    /// The addresses that ADD shall get, one of a family at most. Files of older releases have none.
    #[serde(default)]
    pub(crate) addresses: Vec<IpAddr>,
}

impl Wishes {
    /// The address of a family that ADD shall get.
    pub(crate) fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }
}

/// The longest client identifier with its type, since an option's length is one byte.
const MAX_CLIENT_ID: usize = 255;

/// The client identifier of DHCPv4: type 0, which is no hardware address, and the attachment's words in the order in which
/// the reference has them. A container whose lease began with the reference's daemon keeps its address.
#[must_use]
pub(crate) fn client_id(attachment: &Attachment) -> Vec<u8> {
    let words = words(attachment);
    let mut id = vec![0];
    id.extend(words.bytes().take(MAX_CLIENT_ID - 1));
    id
}

/// The DUID of DHCPv6: a UUID (RFC 6355) of those words, of version 8 (RFC 9562, section 5.8), so that a container has the
/// same on every host and after every restart of the daemon.
#[must_use]
pub(crate) fn duid(attachment: &Attachment) -> Vec<u8> {
    const DUID_UUID: [u8; 2] = [0, 4];
    let digest = Sha256::digest(words(attachment));
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    [&DUID_UUID[..], &uuid].concat()
}

fn words(attachment: &Attachment) -> String {
    format!("{}/{}/{}", attachment.container, attachment.network, attachment.ifname)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cni_plugin::{ContainerId, IfName, NetworkName};

    fn attachment(network: &str) -> Attachment {
        Attachment {
            network: NetworkName::new(network).unwrap(),
            container: ContainerId::new("0123abc").unwrap(),
            ifname: IfName::new("eth0").unwrap(),
        }
    }

    #[test]
    fn the_client_identifier_is_the_reference_s() {
        assert_eq!(client_id(&attachment("lan")), b"\x000123abc/lan/eth0");
        let long = client_id(&attachment(&"n".repeat(300)));
        assert_eq!(long.len(), 255);
        assert!(long.starts_with(b"\x000123abc/nnn") && long.ends_with(b"nnn"));
    }

    #[test]
    fn a_duid_is_a_uuid_that_stays() {
        let duid = duid(&attachment("lan"));
        let hex: String = duid.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0004b23998ef324a83458c82bad937e8bf76");
        assert_ne!(super::duid(&attachment("wan")), duid);
    }
}
