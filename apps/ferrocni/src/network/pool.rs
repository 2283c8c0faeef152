//! Which subnet a network gets that asks for none.

use std::net::IpAddr;
use std::path::Path;

use ip::Family;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use netlink::{Socket, if_found};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Description;
use super::subnet::overlap;

/// Where the subnets of new networks are from, in order.
#[derive(Debug)]
pub(crate) struct Pools(Vec<Pool>);

/// Subnets of one size, one after the other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Pool {
    #[serde(deserialize_with = "cni::cidr::deserialize")]
    base: IpNetwork,
    /// Their prefix length.
    size: u8,
}

/// What a file of pools says: the keys are those of Docker's daemon.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(rename = "default-address-pools")]
    pools: Option<Vec<Pool>>,
}

/// The file with this command's settings.
const SETTINGS: &str = "/etc/ferrocni/ferrocni.json";
/// The most that it may have, in bytes.
const LIMIT: usize = 64 << 10;

/// A subnet that cannot be given to a new network, and who has it.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) subnet: IpNetwork,
    pub(crate) by: String,
}

/// Why there is no subnet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    #[error("cannot read {SETTINGS}")]
    Unread(#[source] std::io::Error),
    #[error("{SETTINGS} is not valid")]
    Invalid(#[source] serde_json::Error),
    #[error("{SETTINGS}: the pool {base} has no subnets of prefix length {size}")]
    Size { base: IpNetwork, size: u8 },
    #[error("every subnet of the address pools is in use{}: name a free one with --subnet", widest(.0))]
    Exhausted(Option<Taken>),
    #[error("this host has no /etc/machine-id, from which IPv6 subnets are derived: name one with --subnet")]
    NoMachineId,
}

/// The one that takes most, if it takes whole pools: a route of a VPN, for instance.
fn widest(taken: &Option<Taken>) -> String {
    taken.as_ref().map_or_else(String::new, |taken| format!(", most of them by {} ({})", taken.subnet, taken.by))
}

impl Pools {
    /// Those of the settings, or else Docker's, and Podman's after them as a reserve.
    pub(crate) fn of_host() -> Result<Self, PoolError> {
        match files::read_through_links(Path::new(SETTINGS), LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(PoolError::Unread(error)),
            Ok(text) => Self::read(&text),
        }
    }

    fn read(text: &[u8]) -> Result<Self, PoolError> {
        let settings: Settings = serde_json::from_slice(text).map_err(PoolError::Invalid)?;
        let Some(pools) = settings.pools else { return Ok(Self::default()) };
        let longest = |pool: &Pool| if pool.base.is_ipv4() { 30 } else { 126 };
        match pools.iter().find(|pool| pool.size < pool.base.prefix() || pool.size > longest(pool)) {
            Some(&Pool { base, size }) => Err(PoolError::Size { base, size }),
            None => Ok(Self(pools)),
        }
    }

    /// The first free subnet of a family.
    pub(crate) fn choose(&self, family: Family, taken: &[Taken]) -> Result<IpNetwork, PoolError> {
        let of_family = |pool: &&Pool| Family::of(pool.base.ip()) == family;
        let mut pools: Vec<Pool> = self.0.iter().filter(of_family).cloned().collect();
        if pools.is_empty() && family == Family::V6 {
            pools.push(local_ipv6(&machine_id().ok_or(PoolError::NoMachineId)?));
        }
        let free = |subnet: &IpNetwork| !taken.iter().any(|taken| overlap(taken.subnet, *subnet));
        pools.iter().flat_map(Pool::subnets).find(free).ok_or_else(|| PoolError::Exhausted(masking(&pools, taken)))
    }
}

impl Default for Pools {
    fn default() -> Self {
        let pool = |base: [u8; 4], prefix, size| Pool { base: v4(u32::from_be_bytes(base), prefix), size };
        // Not 172.16, nor 172.17 to begin with: the first is widely used, and Docker's own bridge has the second.
        let mut pools: Vec<_> = (18..=31).map(|second| pool([172, second, 0, 0], 16, 16)).collect();
        pools.push(pool([172, 17, 0, 0], 16, 16));
        pools.push(pool([192, 168, 0, 0], 16, 20));
        pools.extend((89..=255).map(|second| pool([10, second, 0, 0], 16, 24)));
        Self(pools)
    }
}

impl Pool {
    /// Its subnets, as many as anybody can have.
    fn subnets(&self) -> impl Iterator<Item = IpNetwork> {
        let (base, size) = (self.base, self.size);
        let count = 1_u32 << (size - base.prefix()).min(16);
        (0..count).map(move |number| nth(base, size, number))
    }
}

/// A subnet of `base`, by its number among those of prefix length `size`.
fn nth(base: IpNetwork, size: u8, number: u32) -> IpNetwork {
    match base.network() {
        IpAddr::V4(first) => v4(u32::from(first) | number.checked_shl(32 - u32::from(size)).unwrap_or(0), size),
        IpAddr::V6(first) => {
            let bits = u128::from(first) | u128::from(number).checked_shl(128 - u32::from(size)).unwrap_or(0);
            Ipv6Network::new_checked(bits.into(), size).map_or(base, IpNetwork::V6)
        }
    }
}

/// `prefix` is at most 32.
fn v4(bits: u32, prefix: u8) -> IpNetwork {
    let whole = Ipv4Network::new_checked(bits.into(), prefix.min(32));
    IpNetwork::V4(whole.unwrap_or_else(|| Ipv4Network::from(std::net::Ipv4Addr::from(bits))))
}

/// What takes a whole pool, or more.
fn masking(pools: &[Pool], taken: &[Taken]) -> Option<Taken> {
    let covers = |taken: &&Taken| pools.iter().any(|pool| taken.subnet.contains(pool.base.network()));
    let widest = taken.iter().filter(covers).min_by_key(|taken| taken.subnet.prefix())?;
    pools.iter().any(|pool| widest.subnet.prefix() <= pool.base.prefix()).then(|| widest.clone())
}

/// The /48 of unique local addresses (RFC 4193) that is this machine's, whatever runs on it.
fn local_ipv6(machine: &str) -> Pool {
    let digest = Sha256::digest(format!("ferrocni {machine}"));
    let mut bytes = [0; 16];
    bytes[0] = 0xfd;
    bytes[1..6].copy_from_slice(&digest[..5]);
    let base = Ipv6Network::new_checked(bytes.into(), 48).map_or_else(|| nth(v4(0, 0), 0, 0), IpNetwork::V6);
    Pool { base, size: 64 }
}

fn machine_id() -> Option<String> {
    let text = files::read_through_links(Path::new("/etc/machine-id"), 256).ok()?;
    let id = String::from_utf8(text).ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// The subnets of the networks that are there.
pub(crate) fn of_networks(networks: &[Description]) -> impl Iterator<Item = Taken> {
    networks.iter().flat_map(|network| {
        let taken = |subnet: &super::Subnet| Taken { subnet: subnet.subnet, by: format!("network {}", network.name) };
        network.subnets.iter().map(taken).collect::<Vec<_>>()
    })
}

/// What the host reaches elsewhere: the destinations of its routes, but for those of everything, and its name servers.
pub(crate) fn of_routes(socket: &mut Socket) -> netlink::Result<Vec<Taken>> {
    let mut taken = Vec::new();
    for family in Family::ALL {
        for route in socket.routes(family, None, netlink::table::MAIN)? {
            // Two halves are a VPN's way of being the default.
            if route.destination.prefix() > 1 {
                taken.push(Taken { subnet: route.destination, by: by_link(socket, route.link) });
            }
        }
    }
    Ok(taken)
}

fn by_link(socket: &mut Socket, index: Option<u32>) -> String {
    let link = index.and_then(|index| if_found(socket.link(index)).ok().flatten());
    link.map(|link| link.name)
        .map_or_else(|| "a route of the host".to_owned(), |name| format!("the host's route through {name}"))
}

/// The servers that resolv.conf names.
pub(crate) fn of_name_servers() -> Vec<Taken> {
    let text = files::read_through_links(Path::new("/etc/resolv.conf"), LIMIT).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
    servers.map(|server| Taken { subnet: server.into(), by: "a name server of the host".to_owned() }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn taken(subnets: &[&str]) -> Vec<Taken> {
        subnets.iter().map(|subnet| Taken { subnet: subnet.parse().unwrap(), by: "x".to_owned() }).collect()
    }

    fn choose(pools: &Pools, subnets: &[&str]) -> String {
        pools.choose(Family::V4, &taken(subnets)).unwrap().to_string()
    }

    #[test]
    fn the_first_free_subnet_is_taken() {
        let pools = Pools::default();
        assert_eq!(choose(&pools, &[]), "172.18.0.0/16");
        assert_eq!(choose(&pools, &["172.18.3.0/24", "172.19.0.0/16"]), "172.20.0.0/16");
        assert_eq!(choose(&pools, &["172.16.0.0/12"]), "192.168.0.0/20");
        assert_eq!(choose(&pools, &["172.16.0.0/12", "192.168.17.4/32", "192.168.0.0/24"]), "192.168.32.0/20");
        assert_eq!(choose(&pools, &["172.16.0.0/12", "192.168.0.0/16", "10.89.0.0/24"]), "10.89.1.0/24");
    }

    #[test]
    fn thousands_of_networks_get_subnets_of_their_own() {
        let (pools, mut all) = (Pools::default(), Vec::new());
        for _ in 0..400 {
            let subnet = pools.choose(Family::V4, &all).unwrap();
            all.push(Taken { subnet, by: "x".to_owned() });
        }
        assert_eq!(all.last().unwrap().subnet.to_string(), "10.90.112.0/24");
    }

    #[test]
    fn who_takes_all_of_the_pools_is_named() {
        let all = taken(&["0.0.0.0/1", "128.0.0.0/1"]);
        let error = Pools::default().choose(Family::V4, &all).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0/1 (x)"), "{error}");
    }

    #[test]
    fn the_settings_replace_the_pools() {
        let pools = Pools::read(br#"{"default-address-pools": [{"base": "10.5.0.0/16", "size": 24}]}"#).unwrap();
        assert_eq!(choose(&pools, &["10.5.0.0/24"]), "10.5.1.0/24");
        assert!(matches!(
            Pools::read(br#"{"default-address-pools": [{"base": "10.5.0.0/16", "size": 8}]}"#),
            Err(PoolError::Size { .. })
        ));
        assert!(matches!(Pools::read(b"{"), Err(PoolError::Invalid(_))));
    }

    #[test]
    fn ipv6_is_the_machine_s_own() {
        let pool = local_ipv6("a");
        assert!(pool.base.to_string().starts_with("fd") && pool.base.prefix() == 48);
        assert_ne!(pool, local_ipv6("b"));
        let subnets: Vec<_> = pool.subnets().take(2).collect();
        assert_ne!(subnets[0], subnets[1]);
        assert!(subnets.iter().all(|subnet| subnet.prefix() == 64 && pool.base.contains(subnet.ip())));
    }
}
