//! Routes for links on which only the gateway can be reached, although the container's address has a subnet.

use std::net::IpAddr;

use cni_plugin::{IpConfig, Route};
use ipnetwork::IpNetwork;

/// The routes that replace the kernel's own, which would expect the whole subnet on the link: one to each gateway, and one
/// to each subnet through its gateway.
#[must_use]
pub fn routes(ips: &[IpConfig]) -> Vec<Route> {
    sourced_routes(ips).into_iter().map(|(route, _)| route).collect()
}

/// The same, each with the container's address to use as its preferred source.
pub(crate) fn sourced_routes(ips: &[IpConfig]) -> Vec<(Route, IpAddr)> {
    let mut routes: Vec<(Route, IpAddr)> = Vec::new();
    for ip in ips {
        let Some(gateway) = ip.gateway else { continue };
        let mut to_gateway = Route::new(IpNetwork::from(gateway), None);
        to_gateway.scope = Some(netlink::scope::LINK);
        for route in [Some(to_gateway), to_subnet(ip.address, gateway)].into_iter().flatten() {
            // Further addresses in the same subnet, or with the same gateway, need no second route.
            if routes.iter().all(|(other, _)| other.dst != route.dst) {
                routes.push((route, ip.address.ip()));
            }
        }
    }
    routes
}

/// A /32 or /128 has no neighbours in its subnet.
fn to_subnet(address: IpNetwork, gateway: IpAddr) -> Option<Route> {
    let subnet = IpNetwork::new(address.network(), address.prefix()).ok()?;
    (subnet != IpNetwork::from(address.ip())).then(|| Route::new(subnet, Some(gateway)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(address: &str, gateway: &str) -> IpConfig {
        IpConfig::new(address.parse().unwrap(), Some(gateway.parse().unwrap()))
    }

    fn described(ips: &[IpConfig]) -> Vec<String> {
        let describe = |(route, source): (Route, IpAddr)| {
            let gateway = route.gw.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("{}{gateway} src {source}", route.dst)
        };
        sourced_routes(ips).into_iter().map(describe).collect()
    }

    #[test]
    fn the_subnet_is_behind_the_gateway_and_the_gateway_on_the_link() {
        assert_eq!(
            described(&[ip("10.1.0.2/24", "10.1.0.1"), ip("fd00:1::2/64", "fd00:1::1")]),
            [
                "10.1.0.1/32 src 10.1.0.2",
                "10.1.0.0/24 via 10.1.0.1 src 10.1.0.2",
                "fd00:1::1/128 src fd00:1::2",
                "fd00:1::/64 via fd00:1::1 src fd00:1::2"
            ]
        );
    }

    #[test]
    fn addresses_that_share_a_subnet_share_its_routes() {
        assert_eq!(
            described(&[ip("10.1.0.2/24", "10.1.0.1"), ip("10.1.0.3/24", "10.1.0.1")]),
            ["10.1.0.1/32 src 10.1.0.2", "10.1.0.0/24 via 10.1.0.1 src 10.1.0.2"]
        );
    }

    #[test]
    fn an_address_without_a_subnet_has_a_gateway_all_the_same() {
        assert_eq!(described(&[ip("10.1.0.2/32", "169.254.1.1")]), ["169.254.1.1/32 src 10.1.0.2"]);
    }
}
