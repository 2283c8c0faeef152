//! What makes a host its containers' router.

use std::net::IpAddr;

use netlink::{Family, Socket, if_found, scope, table};

use crate::Error;

const IPV4: [&str; 2] = ["ipv4", "ip_forward"];
const IPV6: [&str; 4] = ["ipv6", "conf", "all", "forwarding"];

/// Lets the host forward packets of these addresses' families, and leaves the other family as it is.
///
/// # Errors
/// When a sysctl cannot be set that has not this value already.
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

/// A host that forwards IPv6 believes no router any more (`ipv6_accept_ra`, include/net/ipv6.h) and forgets those that it
/// has believed (`rt6_purge_dflt_routers`, net/ipv6/route.c): it would lose its own addresses and its way out, unless each
/// link that has them from a router is told beforehand to go on.
fn keep_learning_from_routers(host: &mut Socket) -> Result<(), Error> {
    for index in links_that_learn(host)? {
        // Gone since, or moved.
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

/// The links with an address that expires, or a route that a router on them has told.
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
