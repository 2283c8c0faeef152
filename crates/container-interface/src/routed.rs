//! The host's end of a link by which the host routes to one container: the gateways' addresses, and the route to the container.

use std::net::IpAddr;
use std::time::Duration;

use cni_plugin::{Attachment, IpConfig};
use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Link, Request, Route, Socket, scope};

use crate::veth::{Pair, host_end_differs};
use crate::{Error, router};

/// How long the kernel may take to answer for a new gateway address; it is a matter of a millisecond.
const LOCAL_WITHIN: Duration = Duration::from_secs(5);

/// Has the host's end answer for the gateways, and leads what is for the container there.
///
/// The container's end has to be down still: with the first carrier, the kernel would begin to look for duplicates of the
/// link-local address.
///
/// # Errors
/// [`Error::AddressTaken`] if the host has a route to one of the addresses already, else the kernel's refusal.
pub fn set_up(host: &mut Socket, pair: &Pair, ips: &[IpConfig]) -> Result<(), Error> {
    if ips.iter().any(|ip| ip.address.is_ipv6()) {
        sysctl::skip_duplicate_address_detection(&pair.host_name)?;
    }
    let mut batch = host.batch();
    for gateway in gateways(ips) {
        let alone = IpNetwork::from(gateway);
        batch.ensure_address(&AddressSpec { prefix_route: false, ..AddressSpec::new(pair.host_index, alone) });
    }
    for ip in ips {
        batch.add_route(&route_to(ip.address.ip(), pair.host_index));
    }
    batch.send().map_err(|error| name_holder(host, error))
}

/// The gateways' addresses. An unspecified one is none.
fn gateways(ips: &[IpConfig]) -> Vec<IpAddr> {
    ips.iter().filter_map(|ip| ip.gateway).filter(|gateway| !gateway.is_unspecified()).collect()
}

/// The way from the host to a container's address.
fn route_to(address: IpAddr, link: u32) -> Route {
    Route { link: Some(link), scope: Some(scope::HOST), ..Route::new(IpNetwork::from(address)) }
}

/// The kernel says that a route is there already, but not who made it. Where that cannot be found out, its own words have to do.
fn name_holder(host: &mut Socket, error: netlink::Error) -> Error {
    let taken = match &error {
        netlink::Error::Refused { request, .. } if error.is_exists() => match **request {
            Request::AddRoute { destination, .. } => Some(destination.ip()),
            _ => None,
        },
        _ => None,
    };
    match taken.and_then(|address| Some((address, link_towards(host, address).ok()??))) {
        Some((address, holder)) => Error::AddressTaken { address, link: holder.name },
        None => error.into(),
    }
}

/// The link through which the host reaches an address now, all tables and rules considered.
fn link_towards(host: &mut Socket, address: IpAddr) -> Result<Option<Link>, Error> {
    match host.route_to(address) {
        Err(error) if error.is_unreachable() => Ok(None),
        route => Ok(route?.link.map(|index| host.link(index)).transpose()?),
    }
}

/// Makes the host the container's router: from now on its gateways answer, and packets pass.
///
/// # Errors
/// The kernel's refusal, also of a sysctl.
pub fn open(host: &mut Socket, pair: &Pair, ips: &[IpConfig]) -> Result<(), Error> {
    let gateways = gateways(ips);
    host.wait_until_local(pair.host_index, &gateways, LOCAL_WITHIN)?;
    router::enable_forwarding(host, &gateways)
}

/// For CHECK: addresses and routes of the host's end.
///
/// # Errors
/// [`Error::Differs`].
pub fn check(host: &mut Socket, end: &Link, attachment: &Attachment, ips: &[IpConfig]) -> Result<(), Error> {
    let differs = |expected: String, found: &str| host_end_differs(attachment, &end.name, &expected, found);
    let addresses = host.addresses(end.index)?;
    for gateway in gateways(ips) {
        if !addresses.iter().any(|address| address.network.ip() == gateway) {
            let list: Vec<_> = addresses.iter().map(|address| address.network.to_string()).collect();
            return Err(differs(format!("gateway address {gateway}"), &list.join(", ")));
        }
    }
    for ip in ips {
        let address = ip.address.ip();
        let towards = link_towards(host, address)?;
        if towards.as_ref().map(|link| link.index) != Some(end.index) {
            let found = towards.map_or_else(|| "none".to_owned(), |link| format!("one to link {}", link.name));
            return Err(differs(format!("a route to {address}"), &found));
        }
    }
    Ok(())
}
