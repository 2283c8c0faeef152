//! IP forwarding on the host, so that it can route for its containers.

use std::net::IpAddr;

use netlink::{Family, Socket, if_found, scope, table};

use crate::Error;

const IPV4: [&str; 2] = ["ipv4", "ip_forward"];
const IPV6: [&str; 4] = ["ipv6", "conf", "all", "forwarding"];

/// Switches forwarding on for the address families of these addresses, and leaves the other family as it is.
///
/// # Errors
/// When a sysctl does not have the value yet, and cannot be set.
pub fn enable_forwarding(host: &mut Socket, addresses: &[IpAddr]) -> Result<(), Error> {
    if addresses.iter().any(IpAddr::is_ipv4) {
        sysctl::set_if_different(&IPV4, "1")?;
    }
    if addresses.iter().any(IpAddr::is_ipv6) && sysctl::read(&IPV6)? != "1" {
        keep_learning_from_routers(host)?;
        sysctl::write(&IPV6, "1")?;
    }
    Ok(())
}

/// A host that forwards IPv6 ignores router advertisements (`ipv6_accept_ra`, include/net/ipv6.h) and drops the default
/// routes learned from them (`rt6_purge_dflt_routers`, net/ipv6/route.c). It would lose its own addresses and its default
/// route, unless `accept_ra` is set to 2 beforehand on each link that is configured by a router.
fn keep_learning_from_routers(host: &mut Socket) -> Result<(), Error> {
    for index in links_that_learn(host)? {
        // The link has been deleted or moved meanwhile.
        let Some(link) = if_found(host.link(index))?.map(|link| link.name) else { continue };
        let key = ["ipv6", "conf", &link, "accept_ra"];
        if sysctl::read(&key)? == "1" {
            sysctl::write(&key, "2")?;
            eprintln!(
                "link {link} has its IPv6 addresses or its default route from a router, and a host that forwards IPv6, as \
                 this one does from now on, would lose them: set sysctl net.ipv6.conf.{link}.accept_ra to 2"
            );
        }
    }
    Ok(())
}

/// The links that have an address with a limited lifetime, or a route learned from a router advertisement.
fn links_that_learn(host: &mut Socket) -> Result<Vec<u32>, Error> {
    let routes = host.routes(Family::V6, None, table::MAIN)?;
    let addresses = host.all_addresses()?;
    let learnt = addresses
        .iter()
        .filter(|address| address.expires && address.network.is_ipv6() && address.scope == scope::UNIVERSE);
    let advertised = routes.iter().filter(|route| route.is_advertised).filter_map(|route| route.link);
    let mut links: Vec<u32> = learnt.map(|address| address.link).chain(advertised).collect();
    links.sort_unstable();
    links.dedup();
    Ok(links)
}
