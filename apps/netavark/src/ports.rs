//! Published ports: Podman writes ranges and several protocols in one, the plugin portmap one port for each.

use std::net::IpAddr;

use ip::Protocol;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;

/// Ports that a container publishes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PortMapping {
    container_port: u16,
    host_port: u16,
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    range: u16,
}

impl std::fmt::Display for PortMapping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { container_port, host_port, range, .. } = self;
        write!(formatter, "{host_port} to {container_port}")?;
        if *range > 1 { write!(formatter, " ({range} ports)") } else { Ok(()) }
    }
}

impl PortMapping {
    /// The host's address, if it is a particular one.
    pub(crate) fn host(&self) -> Option<IpAddr> {
        self.host_ip.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
    }

    /// The first and the last port of the host.
    pub(crate) fn host_range(&self) -> (u16, u16) {
        (self.host_port, self.host_port.saturating_add(self.range.max(1) - 1))
    }

    pub(crate) fn protocols(&self) -> Result<Vec<Protocol>, Error> {
        let known = |word: &str| match word.trim() {
            "" => Ok(Protocol::Tcp),
            word => word.parse().map_err(|_| Error::Protocol { mapping: self.to_string(), protocol: word.to_owned() }),
        };
        self.protocol.split(',').map(known).collect()
    }
}

/// The capability `portMappings`.
pub(crate) fn capability(mappings: &[PortMapping]) -> Result<Value, Error> {
    let mut all = Vec::new();
    for mapping in mappings {
        for protocol in mapping.protocols()? {
            all.extend(one_by_one(mapping, protocol)?);
        }
    }
    Ok(all.into())
}

fn one_by_one(mapping: &PortMapping, protocol: Protocol) -> Result<Vec<Value>, Error> {
    let last = mapping.range.max(1) - 1;
    let fits = |port: u16| port.checked_add(last).is_some();
    if !fits(mapping.host_port) || !fits(mapping.container_port) {
        return Err(Error::PortRange(mapping.to_string()));
    }
    let one = |offset| {
        json!({
            "hostPort": mapping.host_port + offset, "containerPort": mapping.container_port + offset,
            "protocol": protocol.to_string(), "hostIP": mapping.host_ip,
        })
    };
    Ok((0..=last).map(one).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mapping(value: Value) -> PortMapping {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_range_and_two_protocols_are_a_port_each() {
        let range =
            mapping(json!({"container_port": 90, "host_port": 9000, "range": 3, "protocol": "tcp,udp", "host_ip": ""}));
        let ports = capability(&[range]).unwrap();
        let ports = ports.as_array().unwrap();
        assert_eq!(ports.len(), 6);
        assert_eq!(ports[5], json!({"hostPort": 9002, "containerPort": 92, "protocol": "udp", "hostIP": ""}));
    }

    #[test]
    fn a_mapping_without_range_and_protocol_is_one_tcp_port() {
        let one = capability(&[mapping(json!({"container_port": 80, "host_port": 8080}))]).unwrap();
        assert_eq!(one, json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]));
    }

    #[test]
    fn what_no_port_can_be_is_an_error() {
        for wrong in [
            json!({"container_port": 80, "host_port": 65535, "range": 2}),
            json!({"container_port": 65535, "host_port": 80, "range": 2}),
            json!({"container_port": 80, "host_port": 80, "protocol": "icmp"}),
        ] {
            assert!(capability(&[mapping(wrong.clone())]).is_err(), "{wrong}");
        }
    }
}
