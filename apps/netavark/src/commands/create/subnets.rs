//! Subnets: chosen where none is given, and each with a gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use podman_network::{LeaseRange, Subnet};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{CreateError, Draft};
use crate::error::Error;

/// Where subnets are taken from (`default_subnet_pools`).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pool {
    #[serde(with = "cni::cidr")]
    base: IpNetwork,
    /// Prefix length of the subnets.
    size: u8,
}

/// Subnets as text.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNetwork>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| cni::cidr::parse(text)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

/// How many random subnets are tried.
const ATTEMPTS: usize = 100;

/// Gives the network a subnet of each family that it is to have and has none of.
pub(super) fn choose(draft: &mut Draft, pools: &[Pool], used: &[IpNetwork]) -> Result<(), Error> {
    let has = |is_ipv4| draft.network.subnets.iter().any(|subnet| subnet.subnet.is_ipv4() == is_ipv4);
    let wants_ipv4 = draft.network.subnets.is_empty() || draft.network.ipv6_enabled;
    let mut subnets = draft.network.subnets.clone();
    if wants_ipv4 && !has(true) {
        subnets.push(bare(free_ipv4(pools, used)?));
    }
    if draft.network.ipv6_enabled && !has(false) {
        subnets.push(bare(free_ipv6(used)?));
    }
    draft.set("subnets", json!(subnets))
}

fn bare(subnet: IpNetwork) -> Subnet {
    Subnet { subnet, gateway: None, lease_range: None }
}

fn free_ipv4(pools: &[Pool], used: &[IpNetwork]) -> Result<IpNetwork, Error> {
    let subnets = pools.iter().filter_map(|pool| match pool.base {
        IpNetwork::V4(base) => Some(subnets_of(base, pool.size)),
        IpNetwork::V6(_) => None,
    });
    Ok(subnets.flatten().map(IpNetwork::V4).find(|subnet| is_free(subnet, used)).ok_or(CreateError::NoFreeSubnet)?)
}

fn subnets_of(base: Ipv4Network, prefix: u8) -> impl Iterator<Item = Ipv4Network> {
    let bits = if (base.prefix()..=30).contains(&prefix) { prefix - base.prefix() } else { 0 };
    let step = 32 - u32::from(prefix.clamp(1, 30));
    let first = base.network().to_bits();
    (0..1u32 << bits.min(31)).filter_map(move |number| {
        let address = first.checked_add(number.checked_shl(step)?)?;
        Ipv4Network::new(Ipv4Addr::from_bits(address), prefix).ok()
    })
}

/// A random one of the locally assigned (RFC 4193, section 3.2.2).
fn free_ipv6(used: &[IpNetwork]) -> Result<IpNetwork, Error> {
    for _ in 0..ATTEMPTS {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes[1..8]).map_err(|_| CreateError::NoFreeSubnet)?;
        bytes[0] = 0xfd;
        let subnet = Ipv6Network::new(Ipv6Addr::from(bytes), 64).map_err(|_| CreateError::NoFreeSubnet)?.into();
        if is_free(&subnet, used) {
            return Ok(subnet);
        }
    }
    Err(CreateError::NoFreeSubnet.into())
}

fn is_free(subnet: &IpNetwork, used: &[IpNetwork]) -> bool {
    used.iter().all(|other| !overlap(subnet, other))
}

fn overlap(one: &IpNetwork, other: &IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

/// Gives each subnet a gateway, unless nothing is to be reached through it, and looks at what was given.
pub(super) fn complete(draft: &mut Draft, used: &[IpNetwork]) -> Result<(), Error> {
    if draft.network.subnets.is_empty() {
        return Ok(());
    }
    if draft.network.ipam()? == podman_network::Ipam::None {
        return Err(CreateError::SubnetsOfNobody.into());
    }
    let wants_gateway = !draft.network.internal || draft.network.dns_enabled;
    let mut subnets = draft.network.subnets.clone();
    for subnet in &mut subnets {
        if !is_free(&subnet.subnet, used) {
            return Err(CreateError::SubnetUsed(subnet.subnet).into());
        }
        subnet.gateway = gateway(subnet, wants_gateway)?;
        check_range(subnet)?;
    }
    if subnets.iter().any(|subnet| subnet.subnet.is_ipv6()) {
        draft.set("ipv6_enabled", json!(true))?;
    }
    draft.set("subnets", json!(subnets))
}

fn gateway(subnet: &Subnet, is_wanted: bool) -> Result<Option<IpAddr>, Error> {
    match subnet.gateway {
        Some(gateway) if !subnet.subnet.contains(gateway) => {
            Err(CreateError::Gateway { gateway, subnet: subnet.subnet }.into())
        }
        None if is_wanted => first_address(subnet.subnet).map(Some),
        gateway => Ok(gateway),
    }
}

fn first_address(subnet: IpNetwork) -> Result<IpAddr, Error> {
    let (first, room) = match subnet {
        IpNetwork::V4(subnet) => {
            (Ipv4Addr::from_bits(subnet.network().to_bits().saturating_add(1)).into(), 32 - subnet.prefix())
        }
        IpNetwork::V6(subnet) => {
            (Ipv6Addr::from_bits(subnet.network().to_bits().saturating_add(1)).into(), 128 - subnet.prefix() + 1)
        }
    };
    // One for the gateway, and of IPv4 two that nobody can have.
    if room < 2 { Err(CreateError::Small(subnet).into()) } else { Ok(first) }
}

fn check_range(subnet: &Subnet) -> Result<(), Error> {
    let Some(LeaseRange { start_ip, end_ip }) = subnet.lease_range else { return Ok(()) };
    let wrong = |reason| Err(CreateError::Range { subnet: subnet.subnet, reason }.into());
    if ![start_ip, end_ip].into_iter().flatten().all(|address| subnet.subnet.contains(address)) {
        return wrong("it is not in the subnet");
    }
    match (start_ip, end_ip) {
        (Some(start), Some(end)) if start > end => wrong("it ends before it starts"),
        _ => Ok(()),
    }
}
