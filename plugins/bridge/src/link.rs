//! The bridge itself: shared by all attachments of the network, made by the first.

use std::net::IpAddr;
use std::time::Duration;

use cni_plugin::IpConfig;
use container_interface::router;
use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Bridge, Family, Link, LinkChange, Mac, Socket, if_found};

use crate::{Config, Error, vlan};

/// How long the kernel may take to answer for a new gateway address; it is a matter of a millisecond.
const LOCAL_WITHIN: Duration = Duration::from_secs(5);

/// Says that a bridge is ours. It is no attachment's, but the network's.
const ALIAS: &str = suite::BRIDGE;

/// The bridge, up: found, or made.
pub(crate) fn ensure(host: &mut Socket, config: &Config) -> Result<Link, Error> {
    let bridge = match find(host, config)? {
        Some(bridge) => bridge,
        None => create(host, config)?,
    };
    vlan::require_filtering(&bridge, config)?;
    take_precautions(&bridge)?;
    let promiscuous = (config.promisc_mode && !bridge.promiscuous).then_some(true);
    let up = (!bridge.up).then_some(true);
    let change = LinkChange { up, promiscuous, ..LinkChange::default() };
    if change != LinkChange::default() {
        host.change_link(bridge.index, &change)?;
    }
    Ok(bridge)
}

/// For a bridge of ours, also one that was found: its maker may have been killed before this. How an administrator's
/// treats routers and duplicates is the administrator's to say.
fn take_precautions(bridge: &Link) -> Result<(), Error> {
    if bridge.alias.as_deref() != Some(ALIAS) {
        return Ok(());
    }
    if !bridge.up {
        sysctl::skip_duplicate_address_detection(&bridge.name)?;
    }
    if bridge.accepts_routers == Some(true) {
        sysctl::refuse_router_advertisements(&bridge.name)?;
    }
    Ok(())
}

/// The network's bridge, if it exists. A link of its name that is no bridge is an error.
pub(crate) fn find(host: &mut Socket, config: &Config) -> Result<Option<Link>, Error> {
    let name = &config.bridge;
    match if_found(host.link(name.as_str()))? {
        Some(link) if link.kind.as_deref() != Some("bridge") => {
            let kind = link.kind.unwrap_or_else(|| "a physical device".to_owned());
            Err(Error::NotABridge { name: name.clone(), kind })
        }
        bridge => Ok(bridge),
    }
}

fn create(host: &mut Socket, config: &Config) -> Result<Link, Error> {
    let name = config.bridge.as_str();
    // A hardware address set at creation stays. Otherwise the bridge takes the lowest of its ports' and changes it
    // with them, while all neighbour tables still hold the old one. It stays down until its sysctls are set.
    let wanted =
        Bridge { name, mac: Some(Mac::random()?), mtu: config.mtu(), up: false, vlan_filtering: config.has_vlans() };
    let bridge = match host.create_bridge(&wanted) {
        // Another attachment was faster.
        Err(error) if error.is_exists() => return find(host, config)?.ok_or_else(|| error.into()),
        bridge => bridge.map_err(vlan::explain)?,
    };
    Ok(host.change_and_read(bridge.index, &LinkChange { alias: Some(ALIAS), ..LinkChange::default() })?)
}

/// For STATUS: nothing else has the bridge's name, and its VLANs are kept apart.
pub(crate) fn probe(host: &mut Socket, config: &Config) -> Result<(), Error> {
    match find(host, config)? {
        Some(bridge) => vlan::require_filtering(&bridge, config),
        None => vlan::probe_kernel(config),
    }
}

/// Makes the bridge, or its link into a VLAN, the containers' router, if the network is configured so.
pub(crate) fn make_gateway(host: &mut Socket, link: &Link, config: &Config, ips: &[IpConfig]) -> Result<(), Error> {
    if !config.is_gateway() {
        return Ok(());
    }
    let wanted = gateway_addresses(ips);
    let found = addresses(host, link, &wanted)?;
    let missing: Vec<_> = wanted.iter().filter(|address| !found.contains(address)).collect();
    for address in &missing {
        let rivals = found.iter().filter(|rival| !wanted.contains(rival) && are_rivals(address, rival));
        for rival in rivals {
            if !config.force_address {
                return Err(Error::OtherAddress { link: link.name.clone(), found: *rival, wanted: **address });
            }
            host.delete_address(link.index, *rival)?;
        }
        add_address(host, link, **address)?;
    }
    let gateways: Vec<IpAddr> = wanted.iter().map(IpNetwork::ip).collect();
    host.wait_until_local(link.index, &gateways, LOCAL_WITHIN)?;
    Ok(router::enable_forwarding(host, &gateways)?)
}

/// The addresses that the router has, of the families of those that it has to have.
fn addresses(host: &mut Socket, link: &Link, wanted: &[IpNetwork]) -> Result<Vec<IpNetwork>, Error> {
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        if wanted.iter().any(|address| Family::of(address.ip()) == family) {
            let addresses = host.addresses_of(link.index, family)?;
            found.extend(addresses.iter().map(|address| address.network));
        }
    }
    Ok(found)
}

/// The addresses that the router has to have, each with its subnet's prefix length. An unspecified one is none.
pub(crate) fn gateway_addresses(ips: &[IpConfig]) -> Vec<IpNetwork> {
    let gateway = |ip: &IpConfig| ip.gateway.filter(|gateway| !gateway.is_unspecified());
    ips.iter().filter_map(|ip| IpNetwork::new(gateway(ip)?, ip.address.prefix()).ok()).collect()
}

/// A bridge has one IPv4 address, and as many IPv6 addresses as it has subnets that do not overlap. Of link-local ones it has
/// its own besides, with every other in one subnet.
fn are_rivals(address: &IpNetwork, other: &IpNetwork) -> bool {
    match (address, other) {
        (IpNetwork::V4(_), IpNetwork::V4(_)) => true,
        (IpNetwork::V6(v6), IpNetwork::V6(_)) => {
            !v6.ip().is_unicast_link_local() && (address.contains(other.ip()) || other.contains(address.ip()))
        }
        _ => false,
    }
}

fn add_address(host: &mut Socket, link: &Link, address: IpNetwork) -> Result<(), Error> {
    let mut batch = host.batch();
    // The bridge may have been made by others, without a fixed hardware address.
    let pin = LinkChange { mac: link.mac, ..LinkChange::default() };
    batch.change_link(link.index, &pin).ensure_address(&AddressSpec::new(link.index, address));
    Ok(batch.send()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv4_address_and_disjoint_ipv6_subnets() {
        let rivals = |a: &str, b: &str| are_rivals(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(rivals("10.1.0.1/24", "10.2.0.1/24"));
        assert!(!rivals("10.1.0.1/24", "fd00::1/64"));
        assert!(!rivals("fd00:1::1/64", "fd00:2::1/64"));
        assert!(rivals("fd00:1::1/64", "fd00:1::2/48"));
        assert!(!rivals("fd00:1::1/64", "fe80::1/64"));
        assert!(!rivals("fe80::1/64", "fe80::2/64"));
    }
}
