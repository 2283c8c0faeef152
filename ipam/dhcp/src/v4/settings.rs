use std::net::{IpAddr, Ipv4Addr};

use cni_plugin::{Dns, Route};
use dhcproto::v4::OptionCode;
use ipnetwork::{IpNetwork, Ipv4Network};

use super::options::Options;
use crate::lease::{Settings, Times};
use crate::wishes::Wishes;

/// What a lease without a time is worth, as in the reference.
const DEFAULT_LEASE: u32 = 3600;
/// T1 and T2 in thousandths of the lease (RFC 2131, section 4.4.5).
const DEFAULT_TIMES: [u64; 2] = [500, 875];

pub(super) fn times(options: &Options) -> Result<Times, String> {
    let valid = options.seconds(OptionCode::AddressLeaseTime).unwrap_or(DEFAULT_LEASE);
    if valid == 0 {
        return Err("the lease lasts no time at all".into());
    }
    let (renew, rebind) = (options.seconds(OptionCode::Renewal), options.seconds(OptionCode::Rebinding));
    Ok(Times::new(valid, valid, renew, rebind, DEFAULT_TIMES))
}

/// What an OFFER or ACK gives.
pub(super) fn read(address: Ipv4Addr, options: &Options, wishes: &Wishes) -> Result<Settings, String> {
    let address = usable(address).ok_or_else(|| format!("{address} is not an address that an interface could have"))?;
    let prefix = prefix(options)?;
    let address = Ipv4Network::new(address, prefix).map_err(|error| error.to_string())?;
    let gateway =
        options.addresses(OptionCode::Router).into_iter().find_map(usable).filter(|_| !wishes.suppress_gateway);
    let mut routes = routes(options);
    if wishes.suppress_gateway {
        routes.retain(|route| route.dst.prefix() > 0);
    }
    for route in &mut routes {
        route.priority = wishes.priority;
    }
    Ok(Settings { address: address.into(), gateway: gateway.map(IpAddr::from), routes, dns: dns(options) })
}

fn usable(address: Ipv4Addr) -> Option<Ipv4Addr> {
    let group = address.is_multicast() || address.is_broadcast() || address.octets()[0] >= 240;
    (!group && !address.is_loopback() && address.octets()[0] != 0).then_some(address)
}

fn prefix(options: &Options) -> Result<u8, String> {
    let masks = options.addresses(OptionCode::SubnetMask);
    let mask = masks.first().ok_or(
        "it has no subnet mask (option 1): have the server send it, and ask for \"subnet-mask\" in \"request\" if that \
         has \"skipDefault\"",
    )?;
    ipnetwork::ipv4_mask_to_prefix(*mask).map_err(|_| format!("{mask} is not a subnet mask"))
}

/// Classless static routes stand for all others (RFC 3442). Without them, static routes and a default route through the
/// first router.
fn routes(options: &Options) -> Vec<Route> {
    let classless = classless_routes(options.bytes(OptionCode::ClasslessStaticRoute).unwrap_or_default());
    if !classless.is_empty() {
        return classless;
    }
    let mut routes = static_routes(options);
    let router = options.addresses(OptionCode::Router).into_iter().find_map(usable);
    routes.extend(router.and_then(|router| route(Ipv4Addr::UNSPECIFIED, 0, router)));
    routes
}

fn route(destination: Ipv4Addr, prefix: u8, router: Ipv4Addr) -> Option<Route> {
    let network = Ipv4Network::new(destination, prefix).ok()?.network();
    let mut route = Route::new(IpNetwork::V4(Ipv4Network::new(network, prefix).ok()?), Some(router.into()));
    // On the link itself.
    if router.is_unspecified() {
        route.scope = Some(netlink::scope::LINK);
    }
    Some(route)
}

/// Option 121: prefix length, as many octets of the destination as that needs, router. It ends where it goes wrong.
fn classless_routes(mut bytes: &[u8]) -> Vec<Route> {
    let mut routes = Vec::new();
    while let Some((&prefix @ 0..=32, rest)) = bytes.split_first() {
        let significant = usize::from(prefix).div_ceil(8);
        let Some((destination, rest)) = rest.split_at_checked(significant) else { break };
        let Some((router, rest)) = rest.split_first_chunk::<4>() else { break };
        let mut octets = [0; 4];
        octets[..significant].copy_from_slice(destination);
        routes.extend(route(octets.into(), prefix, (*router).into()));
        bytes = rest;
    }
    routes
}

/// Option 33: pairs of a destination, whose class says how long its prefix is, and a router. None may be the default route
/// (RFC 2132, section 5.8).
fn static_routes(options: &Options) -> Vec<Route> {
    let pairs = options.addresses(OptionCode::StaticRoutingTable);
    let whole = pairs.as_chunks::<2>().0.iter().filter(|[destination, _]| !destination.is_unspecified());
    whole.filter_map(|&[destination, router]| route(destination, classful_prefix(destination), router)).collect()
}

/// The prefix length of an address's class (RFC 791, section 3.2); a group's address is a host's.
fn classful_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=223 => 24,
        _ => 32,
    }
}

fn dns(options: &Options) -> Dns {
    let servers = options.addresses(OptionCode::DomainNameServer).into_iter();
    let servers = servers.filter(|server| !server.is_unspecified()).map(|server| server.to_string());
    let mut dns = Dns::of(servers.collect());
    dns.domain = options.domain(OptionCode::DomainName).unwrap_or_default();
    dns.search = options.domains(OptionCode::DomainSearch);
    dns
}
