//! What makes a host its containers' router.

use std::net::IpAddr;

use crate::{Error, set_if_different, write};

/// Lets the host forward packets of these addresses' families, and leaves the other family as it is.
///
/// # Errors
/// As for [`set_if_different`].
pub fn enable_forwarding(addresses: &[IpAddr]) -> Result<(), Error> {
    if addresses.iter().any(IpAddr::is_ipv4) {
        set_if_different(&["ipv4", "ip_forward"], "1")?;
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        set_if_different(&["ipv6", "conf", "all", "forwarding"], "1")?;
    }
    Ok(())
}

/// Has the host ignore who says to be a router on a link: a container must not be able to give it a default route
/// (CVE-2020-10749). A host without IPv6 has nothing to ignore.
///
/// # Errors
/// As for [`write()`], but for [`Error::NotFound`].
pub fn refuse_router_advertisements(link: &str) -> Result<(), Error> {
    write_if_ipv6(link, "accept_ra", "0")
}

/// Has the host use its IPv6 addresses on a link at once, if this is said before the link goes up. Neighbour discovery for
/// what the host forwards speaks from its link-local address (`ndisc_solicit`, net/ipv6/ndisc.c): while the kernel makes
/// sure that nobody else has that, which takes one to two seconds, nothing it forwards finds a container. An administrator
/// who wants it made sure everywhere says so in `conf/all/accept_dad`. A host without IPv6 has no such addresses.
///
/// # Errors
/// As for [`write()`], but for [`Error::NotFound`].
pub fn skip_duplicate_address_detection(link: &str) -> Result<(), Error> {
    write_if_ipv6(link, "accept_dad", "0")
}

fn write_if_ipv6(link: &str, key: &str, value: &str) -> Result<(), Error> {
    match write(&["ipv6", "conf", link, key], value) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
