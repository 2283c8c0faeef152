//! What the network adds to the addresses and routes that its IPAM plugin gave.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cni_plugin::{AddResult, IpConfig, Route};
use ipnetwork::IpNetwork;

use crate::Config;

/// The container's interface in [`AddResult::interfaces`]: after the bridge and the host's end.
const CONTAINER_INTERFACE: usize = 2;

/// Fills in what the configuration implies: whose the addresses are, the gateways, the default routes.
pub(crate) fn complete(result: &mut AddResult, config: &Config) {
    for ip in &mut result.ips {
        ip.interface = Some(CONTAINER_INTERFACE);
        if config.is_gateway() && ip.gateway.is_none() {
            ip.gateway = Some(first_address(ip.address));
        }
    }
    if config.is_default_gateway {
        add_default_routes(&result.ips, &mut result.routes);
    }
}

/// The subnet's first address, by convention its gateway.
fn first_address(subnet: IpNetwork) -> IpAddr {
    match subnet {
        IpNetwork::V4(subnet) => Ipv4Addr::from_bits(subnet.network().to_bits().saturating_add(1)).into(),
        IpNetwork::V6(subnet) => Ipv6Addr::from_bits(subnet.network().to_bits().saturating_add(1)).into(),
    }
}

/// One default route for each family that has a gateway and none yet.
fn add_default_routes(ips: &[IpConfig], routes: &mut Vec<Route>) {
    for everywhere in ["0.0.0.0/0", "::/0"].map(|text| text.parse::<IpNetwork>().expect("a network")) {
        let same_family = |is_ipv4: bool| is_ipv4 == everywhere.is_ipv4();
        let has_one = routes.iter().any(|route| route.dst.prefix() == 0 && same_family(route.dst.is_ipv4()));
        let gateway = ips.iter().filter_map(|ip| ip.gateway).find(|gateway| same_family(gateway.is_ipv4()));
        if let (false, Some(gateway)) = (has_one, gateway) {
            routes.push(Route::new(everywhere, Some(gateway)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn completed(config: &serde_json::Value, result: &serde_json::Value) -> AddResult {
        let config: Config = cni_plugin::json::from_value(config).unwrap();
        let mut result = AddResult::from_json(result, cni_plugin::SpecVersion::V1_1_0).unwrap();
        complete(&mut result, &config);
        result
    }

    #[test]
    fn a_gateway_network_without_gateway_takes_the_first_address() {
        let given = json!({"ips": [{"address": "10.1.2.9/24"}, {"address": "fd00::9/64"}]});
        let result = completed(&json!({"isGateway": true}), &given);
        assert_eq!(result.ips[0].gateway, Some("10.1.2.1".parse().unwrap()));
        assert_eq!(result.ips[1].gateway, Some("fd00::1".parse().unwrap()));
        assert_eq!(result.ips[1].interface, Some(2));
        assert!(result.routes.is_empty(), "a gateway is not yet the default gateway");
        assert_eq!(completed(&json!({}), &given).ips[0].gateway, None);
    }

    #[test]
    fn a_default_gateway_adds_one_route_for_each_family() {
        let given = json!({"ips": [{"address": "10.1.2.9/24", "gateway": "10.1.2.7"}, {"address": "fd00::9/64"}]});
        let routes = completed(&json!({"isDefaultGateway": true}), &given).routes;
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[0], Route::new("0.0.0.0/0".parse().unwrap(), Some("10.1.2.7".parse().unwrap())));
    }

    #[test]
    fn a_default_route_that_ipam_gave_stays_alone() {
        let given = json!({"ips": [{"address": "10.1.2.9/24"}], "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.3"}]});
        assert_eq!(completed(&json!({"isDefaultGateway": true}), &given).routes.len(), 1);
    }
}
