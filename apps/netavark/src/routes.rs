//! The routes that a network gives its containers besides the default ones.

use std::path::Path;

use container_interface::link;
use netlink::{Netns, Route, RouteType, Socket};
use podman_network::{METRIC, Network, RouteType as Kind};

use crate::error::{Error, told};

/// Adds them inside the container. They go with its interface, or with the container.
pub(crate) fn add(netns: &Netns, network: &Network, ifname: &str) -> Result<(), Error> {
    if network.routes.is_empty() {
        return Ok(());
    }
    let mut inside = Socket::open_in(netns)?;
    let link = inside.link(ifname)?.index;
    let mut batch = inside.batch();
    for route in &network.routes {
        batch.add_parallel_route(&kernel_route(route, link));
    }
    Ok(batch.send()?)
}

/// Removes those that do not go with the interface: they are of no link. What is missing is removed.
pub(crate) fn remove(netns: Option<&Path>, network: &Network) -> Result<(), Error> {
    let mut linkless = network.routes.iter().filter(|route| route.kind != Kind::Unicast).peekable();
    if linkless.peek().is_none() {
        return Ok(());
    }
    let Some(mut inside) = link::enter(netns).map_err(told)? else { return Ok(()) };
    for route in linkless {
        netlink::if_found(inside.delete_route(&kernel_route(route, 0)))?;
    }
    Ok(())
}

fn kernel_route(route: &podman_network::Route, link: u32) -> Route {
    let kind = match route.kind {
        Kind::Unicast => RouteType::Unicast,
        Kind::Blackhole => RouteType::Blackhole,
        Kind::Unreachable => RouteType::Unreachable,
        Kind::Prohibit => RouteType::Prohibit,
    };
    Route {
        gateway: route.gateway,
        link: (kind == RouteType::Unicast).then_some(link),
        priority: Some(route.metric.unwrap_or(METRIC)),
        kind,
        ..Route::new(route.destination)
    }
}
