//! A network's default route, in a container that may have another.

use std::net::{Ipv4Addr, Ipv6Addr};

use cni::{cidr, json};
use cni_runtime::Network;
use ip::Family;
use netlink::{Netns, Socket, table};
use serde_json::{Value, json};

use super::Description;
use super::list::{get_mut, plugins_mut, set};
use crate::failure::Failure;

/// Far enough apart for routes in between.
const STEP: u32 = 100;

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultRoute {
    /// It is as the network has it.
    Keep,
    /// The container has others, which come first. This one is its way when those are gone.
    Follow {
        /// The route's metric.
        metric: u32,
    },
    /// It comes before those that the container has: as two routes of half of all addresses each, because an IPv4 route of
    /// metric 0, as containers have it, can only be preceded by a longer one. Of several such, the lowest metric wins.
    Precede {
        /// The routes' metric.
        metric: u32,
    },
}

/// The network with its default routes after those that the container has, as the next one is connected to it.
pub(crate) fn with_later_default_routes(network: &Network, netns: &Netns) -> Result<Network, Failure> {
    let mut inside = Socket::open_in(netns)?;
    let [v4, v6] = [later_than(&mut inside, Family::V4)?, later_than(&mut inside, Family::V6)?];
    Ok(with_default_routes(network, |family| if family == Family::V4 { v4 } else { v6 })?)
}

/// Plugins give all of theirs the same metric, and of those the kernel takes the newest, or all in turn.
fn later_than(inside: &mut Socket, family: Family) -> netlink::Result<DefaultRoute> {
    let routes = inside.routes(family, None, table::MAIN)?;
    let metrics = routes.iter().filter(|route| route.is_default()).map(|route| route.priority.unwrap_or(0));
    Ok(metrics.max().map_or(DefaultRoute::Keep, |last| DefaultRoute::Follow { metric: last.saturating_add(STEP) }))
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
    let mut list = network.json();
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
        Some(DefaultRoute::Follow { metric }) => vec![with_metric(&route, metric)],
        Some(DefaultRoute::Precede { metric }) => halves(&route, metric),
    });
    let routes: Value = routes.collect();
    let Some(ipam) = get_mut(plugin, "ipam") else { return };
    set(ipam, "routes", routes);
    // A lease's default route is not in the configuration.
    if let (Some("dhcp"), DefaultRoute::Follow { metric }) =
        (json::get(ipam, "type").and_then(Value::as_str), of(Family::V4))
    {
        set(ipam, "priority", metric.into());
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
        let mut route = with_metric(route, metric);
        set(&mut route, "dst", destination.into());
        route
    };
    destinations.map(half).to_vec()
}

fn with_metric(route: &Value, metric: u32) -> Value {
    let mut route = route.clone();
    set(&mut route, "priority", metric.into());
    route
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn changed(plugin: &Value, v4: DefaultRoute, v6: DefaultRoute) -> Value {
        let list = json!({"cniVersion": "1.0.0", "name": "web", "plugins": [plugin, {"type": "firewall"}]});
        let of = |family| if family == Family::V4 { v4 } else { v6 };
        let network = with_default_routes(&Network::from_json(list).unwrap(), of).unwrap();
        assert_eq!(network.json()["plugins"][1], json!({"type": "firewall"}));
        network.json()["plugins"][0].clone()
    }

    fn ipam(routes: &Value) -> Value {
        json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]], "routes": routes})
    }

    #[test]
    fn a_default_route_that_comes_later_has_a_metric_and_others_are_as_they_were() {
        let plugin = json!({"type": "bridge", "ipam": ipam(&json!([
            {"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.7"}, {"dst": "::/0"}]))});
        let changed = changed(&plugin, DefaultRoute::Follow { metric: 100 }, DefaultRoute::Keep);
        let later = json!({"dst": "0.0.0.0/0", "priority": 100});
        assert_eq!(
            changed["ipam"]["routes"],
            json!([later, {"dst": "10.9.0.0/16", "gw": "10.1.0.7"}, {"dst": "::/0"}])
        );
        assert_eq!(changed["ipam"].get("priority"), None);
    }

    #[test]
    fn a_lease_has_its_metric() {
        let plugin = json!({"type": "macvlan", "ipam": {"type": "dhcp"}});
        let later = DefaultRoute::Follow { metric: 200 };
        assert_eq!(changed(&plugin, later, later)["ipam"]["priority"], 200);
    }

    #[test]
    fn a_default_gateway_is_a_gateway_and_a_route_that_can_be_told_apart() {
        let plugin = json!({"type": "bridge", "isDefaultGateway": true, "ipam": ipam(&json!(null))});
        let changed = changed(&plugin, DefaultRoute::Follow { metric: 100 }, DefaultRoute::Keep);
        assert_eq!(changed["ipam"]["routes"], json!([{"dst": "0.0.0.0/0", "priority": 100}, {"dst": "::/0"}]));
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
