//! What Podman's own network program keeps in its table: chains for each subnet, and rules for each port that a container publishes.
//!
//! Nothing here makes such rules. Containers that were connected before this suite took its place have them. The table and its base
//! chains stay, as they stay with that program.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use nfnetlink::Message;

use super::{Found, octets, remove, rules};
use crate::connection::Connection;
use crate::object::del_chain;
use crate::{Family, Protocol, Result, Table};

const TABLE: Table<'_> = Table { family: Family::Inet, name: "netavark" };
const PORTS: &str = "NETAVARK-HOSTPORT-DNAT";
/// Where rules about subnets and bridges are.
const SHARED: [&str; 6] =
    ["INPUT", "FORWARD", "POSTROUTING", "NETAVARK-ISOLATION-1", "NETAVARK-ISOLATION-2", "NETAVARK-ISOLATION-3"];

/// A network, as far as its rules tell it.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// Its id, of which chains are named.
    pub id: &'a str,
    /// Its bridge.
    pub bridge: &'a str,
    /// Its subnets.
    pub subnets: &'a [IpNetwork],
}

/// Ports that a container publishes: from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The host's address; none for all.
    pub host: Option<IpAddr>,
    /// Their protocol.
    pub protocol: Protocol,
    /// The first and the last one.
    pub range: (u16, u16),
}

impl Network<'_> {
    /// The chain of a subnet: its source NAT, or its published ports.
    fn chain(&self, subnet: IpNetwork, ports: bool) -> String {
        let id = self.id.get(..8).unwrap_or(self.id);
        let subnet = IpNetwork::new(subnet.network(), subnet.prefix()).unwrap_or(subnet).to_string();
        let subnet = subnet.replace('.', "_").replace(':', "-").replace('/', "_nm");
        format!("nv_{id}_{subnet}{}", if ports { "_dnat" } else { "" })
    }
}

impl Ports {
    /// Whether a rule is about just these.
    fn are_those_of(&self, rule: &Found) -> bool {
        let (first, last) = (self.range.0.to_be_bytes(), self.range.1.to_be_bytes());
        let ports: Vec<&[u8]> = rule.values.iter().map(Vec::as_slice).filter(|value| value.len() == 2).collect();
        let has_host = self.host.is_none_or(|host| rule.values.contains(&octets(host)));
        let has_range = if first == last { ports == [first] } else { ports == [first, last] };
        has_host && has_range && rule.values.contains(&vec![self.protocol.number()])
    }
}

/// Removes the rules by which ports lead to a container with these addresses on that network.
///
/// # Errors
/// [`crate::Error::Netlink`] if the kernel refuses; nothing has changed then. What is absent is not an error.
pub fn remove_ports(network: Network<'_>, addresses: &[IpAddr], ports: &[Ports]) -> Result<()> {
    remove(|connection| {
        let mut messages = Vec::new();
        if connection.table(TABLE)?.is_none() {
            return Ok(messages);
        }
        let entries = rules(connection, TABLE, PORTS)?;
        for subnet in network.subnets {
            let chain = network.chain(*subnet, true);
            let is_about = |rule: &Found| ports.iter().any(|ports| ports.are_those_of(rule));
            let leads = |rule: &Found| {
                rule.target.is_none() && addresses.iter().any(|address| rule.values.contains(&octets(*address)))
            };
            let entering = entries.iter().filter(|rule| rule.target.as_ref() == Some(&chain) && is_about(rule));
            messages.extend(entering.map(|rule| rule.removal(TABLE)));
            if connection.chain(TABLE, &chain)?.is_some() {
                let own = rules(connection, TABLE, &chain)?;
                let own = own.iter().filter(|rule| leads(rule) || (rule.target.is_some() && is_about(rule)));
                messages.extend(own.map(|rule| rule.removal(TABLE)));
            }
        }
        Ok(messages)
    })
}

/// Removes all that there is about a network, none of whose containers is left.
///
/// # Errors
/// As [`remove_ports`].
pub fn remove_network(network: Network<'_>) -> Result<()> {
    remove(|connection| {
        if connection.table(TABLE)?.is_none() {
            return Ok(Vec::new());
        }
        let mut chains = Vec::new();
        for subnet in network.subnets {
            for name in [network.chain(*subnet, false), network.chain(*subnet, true)] {
                if connection.chain(TABLE, &name)?.is_some() {
                    chains.push(name);
                }
            }
        }
        let mut messages = references(connection, network, &chains)?;
        messages.extend(chains.iter().map(|name| del_chain(TABLE, name)));
        Ok(messages)
    })
}

/// The removal of the rules that lead to these chains, or are about the network's subnets and its bridge.
fn references(connection: &mut Connection, network: Network<'_>, chains: &[String]) -> Result<Vec<Message>> {
    let subnets: Vec<_> = network.subnets.iter().map(|subnet| compared(*subnet)).collect();
    let is_about = |rule: &Found| {
        rule.target.as_ref().is_some_and(|target| chains.contains(target))
            || rule.values.iter().any(|value| subnets.contains(value) || names(value, network.bridge))
    };
    let mut messages = Vec::new();
    for chain in SHARED.into_iter().chain([PORTS]) {
        if connection.chain(TABLE, chain)?.is_some() {
            let found = rules(connection, TABLE, chain)?;
            messages.extend(found.iter().filter(|rule| is_about(rule)).map(|rule| rule.removal(TABLE)));
        }
    }
    Ok(messages)
}

/// What nft compares an address with to know whether it is in the subnet.
fn compared(subnet: IpNetwork) -> Vec<u8> {
    let mut bytes = octets(subnet.network());
    if subnet.prefix().is_multiple_of(8) && subnet.prefix() > 0 {
        bytes.truncate(usize::from(subnet.prefix() / 8));
    }
    bytes
}

fn names(value: &[u8], link: &str) -> bool {
    value.len() == 16 && std::str::from_utf8(value).is_ok_and(|name| name.trim_end_matches('\0') == link)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_named_as_that_program_names_them() {
        let network = Network { id: "ff027983b02ddfea", bridge: "podman1", subnets: &[] };
        assert_eq!(network.chain("10.7.1.0/24".parse().unwrap(), false), "nv_ff027983_10_7_1_0_nm24");
        let ipv6 = "fdf4:409a:3064:d7fe::1/64".parse().unwrap();
        assert_eq!(network.chain(ipv6, true), "nv_ff027983_fdf4-409a-3064-d7fe--_nm64_dnat");
    }

    #[test]
    fn a_subnet_is_compared_by_as_few_bytes_as_it_has() {
        assert_eq!(compared("10.7.1.0/24".parse().unwrap()), [10, 7, 1]);
        assert_eq!(compared("10.7.1.128/25".parse().unwrap()), [10, 7, 1, 128]);
    }
}
