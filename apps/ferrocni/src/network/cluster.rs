//! Networks over many hosts, which etcd has: asked of the agent, which alone speaks to it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use cni::NetworkName;
use cni_runtime::Network;
use ipnetwork::IpNetwork;
use overlay::{Agent, Described, Error, Reply, Request, Subnet};
use serde_json::{Map, Value, json};

use super::Options;
use crate::failure::Failure;

/// A network that is to be there.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a NetworkName,
    /// One is found without.
    pub(crate) subnets: &'a [IpNetwork],
    pub(crate) ipv6: bool,
    pub(crate) internal: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) created: SystemTime,
}

/// What keeps it from being there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error(
        "overlay network {name} exists already, and is another: its {what} {there}. Leave out what differs, and this host joins it"
    )]
    Another { name: NetworkName, what: &'static str, there: String },
    #[error("{0}")]
    Subnet(String),
    #[error("option block_length needs --subnet, whose blocks they are")]
    Blocks,
    #[error("the agent has given another answer than was asked for: is it of another version than this command?")]
    Answer,
}

impl Asked<'_> {
    /// Creates it for all hosts, or finds that it is there as it should be. Its subnets.
    pub(crate) fn create_or_join(&self, options: &Options) -> Result<Vec<IpNetwork>, Failure> {
        let network = match known(self.name)? {
            Some(network) => {
                self.agree(&network, options)?;
                network
            }
            None => self.create(options)?,
        };
        Ok(network.subnets.iter().map(Subnet::network).collect())
    }

    fn create(&self, options: &Options) -> Result<overlay::Network, Failure> {
        if options.block_length.is_some() && self.subnets.is_empty() {
            return Err(ClusterError::Blocks.into());
        }
        let request = Request::Create(overlay::Asked {
            name: self.name.clone(),
            subnets: self.subnets.iter().map(|subnet| planned(*subnet, options)).collect::<Result<_, _>>()?,
            ipv6: self.ipv6,
            encrypted: options.encrypted,
            internal: self.internal,
            mtu: options.mtu,
            labels: self.labels.clone(),
            options: self.options.clone(),
            created: humantime::format_rfc3339_seconds(self.created).to_string(),
        });
        match Agent::default().ask(&request)? {
            Reply::Created(network) => Ok(network),
            _ => Err(ClusterError::Answer.into()),
        }
    }

    /// What was said has to be so; what was left out is as it is.
    fn agree(&self, network: &overlay::Network, options: &Options) -> Result<(), ClusterError> {
        let another = |what, there: &dyn std::fmt::Display| {
            Err(ClusterError::Another { name: self.name.clone(), what, there: there.to_string() })
        };
        let listed: Vec<_> = network.subnets.iter().map(|subnet| subnet.network().to_string()).collect();
        if !self.subnets.iter().all(|subnet| network.subnets.iter().any(|it| it.network() == *subnet)) {
            return another("subnets are", &listed.join(", "));
        }
        if options.encrypted && !network.encrypted {
            return another("packets are", &"not encrypted");
        }
        if self.internal && !network.internal {
            return another("containers", &"reach what is outside of it");
        }
        match (options.mtu, network.mtu) {
            (Some(wanted), Some(there)) if wanted != there => another("MTU is", &there),
            (Some(_), None) => another("MTU is", &"what fits on all hosts"),
            _ => Ok(()),
        }
    }
}

fn planned(subnet: IpNetwork, options: &Options) -> Result<Subnet, ClusterError> {
    match options.block_length.filter(|_| subnet.is_ipv4()) {
        Some(length) => Subnet::with_blocks(subnet, length),
        None => Subnet::new(subnet),
    }
    .map_err(ClusterError::Subnet)
}

/// The network of that name, if there is one.
fn known(name: &NetworkName) -> Result<Option<overlay::Network>, Failure> {
    match Agent::default().ask(&Request::Networks)? {
        Reply::Networks(mut networks) => Ok(networks.remove(name)),
        _ => Err(ClusterError::Answer.into()),
    }
}

/// Removes the network from etcd. One that is not there, because another host has removed it, is removed.
pub(crate) fn remove(network: &Network) -> Result<(), Failure> {
    let name = name_of(network);
    if known(&name)?.is_none() {
        return Ok(());
    }
    match Agent::default().ask(&Request::Remove(name)) {
        Err(error @ Error::Refused(_)) => Err(Failure::from(error).with_status(super::removal::IN_USE)),
        outcome => Ok(outcome.map(drop)?),
    }
}

/// The one that the first plugin names, or that of the list's own name.
fn name_of(network: &Network) -> NetworkName {
    let first = network.list.plugins.first();
    let named = first.and_then(|first| cni::json::get(&first.keys, "network")).and_then(Value::as_str);
    named.and_then(|name| NetworkName::new(name).ok()).unwrap_or_else(|| network.name().clone())
}

/// What etcd has of a network, as `inspect` shows it.
pub(crate) fn describe(network: &Network) -> Result<Map<String, Value>, Failure> {
    match Agent::default().ask(&Request::Describe(name_of(network)))? {
        Reply::Described(described) => Ok(object(&described)),
        _ => Err(ClusterError::Answer.into()),
    }
}

fn object(described: &Described) -> Map<String, Value> {
    let name = |host: &overlay::HostId| described.hosts.get(host).cloned().unwrap_or_else(|| host.to_string());
    let blocks: Vec<_> =
        described.blocks.iter().map(|holder| json!({"Block": holder.block, "Host": name(&holder.host)})).collect();
    let mut peers: Vec<_> = described.blocks.iter().map(|holder| name(&holder.host)).collect();
    peers.sort();
    peers.dedup();
    let endpoints = described.endpoints.iter().flat_map(|(host, endpoints)| {
        endpoints.iter().map(move |(id, endpoint)| {
            let known = &endpoint.0;
            let names: Vec<_> = known.name.iter().chain(&known.aliases).collect();
            json!({"Host": name(host), "Container": id, "Addresses": known.addresses, "Names": names})
        })
    });
    let claims = described.claims.iter().map(|(address, claim)| json!({"Address": address, "Host": name(&claim.host)}));
    let ports = described.ports.iter().map(|(port, hosts)| {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|(host, share)| json!({"Host": name(host), "Containers": share.ipv4.max(share.ipv6)}))
            .collect();
        json!({"Port": port, "Behind": hosts})
    });
    let object = json!({
        "Encrypted": described.network.encrypted,
        "VNI": described.network.vni,
        "Peers": peers.into_iter().map(|peer| json!({"Name": peer})).collect::<Vec<_>>(),
        "Blocks": blocks,
        "Claims": claims.collect::<Vec<_>>(),
        "Endpoints": endpoints.collect::<Vec<_>>(),
        "Ports": ports.collect::<Vec<_>>(),
    });
    object.as_object().cloned().unwrap_or_default()
}
