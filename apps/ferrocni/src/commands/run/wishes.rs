//! What a container is to find by name, besides what its networks know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ::names::{Link, Name};
use cni::NetworkName;
use cni_runtime::Network;

use super::Args;
use super::network::Attach;
use crate::attachments::Connections;
use crate::failure::Failure;
use crate::host::Host;
use crate::network::{HOST_GATEWAY, KnownHost, NameOptions};

/// The arguments' part of it.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    links: Vec<(NetworkName, Link)>,
    hosts: Vec<KnownHost>,
    upstreams: Vec<IpAddr>,
}

impl Wishes {
    pub(super) fn of(host: &Host, args: &Args, networks: &[(Attach, Network)]) -> Result<Self, Failure> {
        Ok(Self { links: links(host, args, networks)?, hosts: hosts(args), upstreams: args.dns.clone() })
    }

    /// As one of the networks is told.
    pub(super) fn on(&self, network: &NetworkName) -> NameOptions {
        let links = self.links.iter().filter(|(on, _)| on == network).map(|(_, link)| link.clone());
        NameOptions {
            links: links.collect(),
            hosts: self.hosts.clone(),
            upstreams: self.upstreams.clone(),
            intercept: false,
        }
    }
}

fn links(host: &Host, args: &Args, networks: &[(Attach, Network)]) -> Result<Vec<(NetworkName, Link)>, Failure> {
    if args.link.is_empty() {
        return Ok(Vec::new());
    }
    let networks: Vec<_> = networks.iter().map(|(_, network)| network.name().clone()).collect();
    let all = Connections::of_host(host)?.all;
    let mut links = Vec::new();
    for wanted in &args.link {
        let found = wanted.find(&all, &networks)?;
        links.extend(found.into_iter().map(|other| (other.recorded.network.clone(), wanted.to(other))));
    }
    Ok(links)
}

fn hosts(args: &Args) -> Vec<KnownHost> {
    let mut hosts: BTreeMap<&Name, Vec<String>> = BTreeMap::new();
    for extra in &args.add_host {
        let address = extra.address.map_or_else(|| HOST_GATEWAY.to_owned(), |address| address.to_string());
        hosts.entry(&extra.name).or_default().push(address);
    }
    hosts.into_iter().map(|(name, addresses)| KnownHost { name: name.clone(), addresses }).collect()
}
