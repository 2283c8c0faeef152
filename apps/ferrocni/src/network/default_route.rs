//! A network's default route, in a container that may have another.

use std::net::{Ipv4Addr, Ipv6Addr};

use cni::{cidr, json};
use cni_runtime::Network;
use ip::Family;
use serde_json::{Value, json};

use super::Description;
use super::list::{get_mut, plugins_mut, set};

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultRoute {
    /// It is as the network has it.
    Keep,
    /// The container has one already, which stays.
    LeaveOut,
    /// It comes before those that the container has: as two routes of half of all addresses each, because an IPv4 route of
    /// metric 0, as containers have it, can only be preceded by a longer one. Of several such, the lowest metric wins.
    Precede {
        /// The routes' metric.
        metric: u32,
    },
}

/// The network with the default route of each address family as said.
///
/// # Errors
/// The changed list is none.
pub(crate) fn with_default_routes(
    network: &Network,
    of: impl Fn(Family) -> DefaultRoute,
) -> Result<Network, cni::Error> {
    if Family::ALL.into_iter().all(|family| of(family) == DefaultRoute::Keep) {
        return Ok(network.clone());
    }
    let described = Description::of(network);
    let families: Vec<_> = Family::ALL.into_iter().filter(|family| described.has_family(*family)).collect();
    let mut list = network.json.clone();
    plugins_mut(&mut list).for_each(|plugin| change(plugin, &families, &of));
    Network::from_json(list)
}

fn change(plugin: &mut Value, families: &[Family], of: impl Fn(Family) -> DefaultRoute) {
    let is_default_gateway = json::get(plugin, "isDefaultGateway").is_some_and(|flag| *flag == Value::Bool(true));
    let Some(ipam) = json::get(plugin, "ipam").filter(|ipam| ipam.is_object()) else { return };
    let mut routes = json::get(ipam, "routes").and_then(Value::as_array).cloned().unwrap_or_default();
    if is_default_gateway {
        // What the key means, in routes that can be told apart.
        set(plugin, "isDefaultGateway", false.into());
        set(plugin, "isGateway", true.into());
        let missing = families.iter().filter(|family| !routes.iter().any(|route| is_default(route) == Some(**family)));
        let missing: Vec<_> = missing.map(|family| json!({"dst": all(*family)})).collect();
        routes.extend(missing);
    }
    let routes = routes.into_iter().flat_map(|route| match is_default(&route).map(&of) {
        None | Some(DefaultRoute::Keep) => vec![route],
        Some(DefaultRoute::LeaveOut) => Vec::new(),
        Some(DefaultRoute::Precede { metric }) => halves(&route, metric),
    });
    let routes: Value = routes.collect();
    if let Some(ipam) = get_mut(plugin, "ipam") {
        set(ipam, "routes", routes);
    }
}

/// The address family of a default route.
fn is_default(route: &Value) -> Option<Family> {
    let destination = cidr::parse(json::get(route, "dst")?.as_str()?).ok()?;
    (destination.prefix() == 0).then(|| Family::of(destination.ip()))
}

fn all(family: Family) -> String {
    match family {
        Family::V4 => format!("{}/0", Ipv4Addr::UNSPECIFIED),
        Family::V6 => format!("{}/0", Ipv6Addr::UNSPECIFIED),
    }
}

fn halves(route: &Value, metric: u32) -> Vec<Value> {
    let destinations = match is_default(route) {
        Some(Family::V6) => ["::/1", "8000::/1"],
        _ => ["0.0.0.0/1", "128.0.0.0/1"],
    };
    let half = |destination: &str| {
        let mut route = route.clone();
        set(&mut route, "dst", destination.into());
        set(&mut route, "priority", metric.into());
        route
    };
    destinations.map(half).to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn changed(plugin: &Value, v4: DefaultRoute, v6: DefaultRoute) -> Value {
        let list = json!({"cniVersion": "1.0.0", "name": "web", "plugins": [plugin, {"type": "firewall"}]});
        let of = |family| if family == Family::V4 { v4 } else { v6 };
        let network = with_default_routes(&Network::from_json(list).unwrap(), of).unwrap();
        assert_eq!(network.json["plugins"][1], json!({"type": "firewall"}));
        network.json["plugins"][0].clone()
    }

    fn ipam(routes: &Value) -> Value {
        json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]], "routes": routes})
    }

    #[test]
    fn a_default_route_is_left_out_and_others_are_kept() {
        let plugin = json!({"type": "bridge", "ipam": ipam(&json!([
            {"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.7"}, {"dst": "::/0"}]))});
        let changed = changed(&plugin, DefaultRoute::LeaveOut, DefaultRoute::Keep);
        assert_eq!(changed["ipam"]["routes"], json!([{"dst": "10.9.0.0/16", "gw": "10.1.0.7"}, {"dst": "::/0"}]));
    }

    #[test]
    fn a_default_gateway_is_a_gateway_without_the_route() {
        let plugin = json!({"type": "bridge", "isDefaultGateway": true, "ipam": ipam(&json!(null))});
        let changed = changed(&plugin, DefaultRoute::LeaveOut, DefaultRoute::Keep);
        assert_eq!(changed["ipam"]["routes"], json!([{"dst": "::/0"}]));
        assert_eq!((&changed["isGateway"], &changed["isDefaultGateway"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn a_route_with_priority_is_two_halves() {
        let plugin = json!({"type": "bridge", "ipam": ipam(&json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]))});
        let changed = changed(&plugin, DefaultRoute::Precede { metric: 7 }, DefaultRoute::Keep);
        let half = |dst: &str| json!({"dst": dst, "gw": "10.1.0.9", "priority": 7});
        assert_eq!(changed["ipam"]["routes"], json!([half("0.0.0.0/1"), half("128.0.0.0/1")]));
    }

    #[test]
    fn a_list_of_which_all_is_kept_is_the_same() {
        let list =
            json!({"cniVersion": "1.0.0", "name": "web", "plugins": [{"type": "bridge", "isDefaultGateway": true}]});
        let network = Network::from_json(list).unwrap();
        assert_eq!(with_default_routes(&network, |_| DefaultRoute::Keep).unwrap(), network);
    }
}
