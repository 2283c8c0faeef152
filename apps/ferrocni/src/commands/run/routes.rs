//! Which network's gateway a container with several uses.

use std::path::Path;

use ip::Family;
use netlink::{Netns, Route, Socket, table};

/// Far enough apart for routes in between.
const STEP: u32 = 100;

/// Has the default routes of the first interface come first, then those of the second, and so on: each plugin gives its own the
/// same metric, and then the kernel takes the newest, or all in turn.
pub(super) fn order(netns: &Path, interfaces: &[&str]) -> netlink::Result<()> {
    if interfaces.len() < 2 {
        return Ok(());
    }
    let mut inside = Socket::open_in(&Netns::open(netns)?)?;
    for (name, metric) in interfaces.iter().zip((0..).step_by(STEP as usize)).skip(1) {
        let link = inside.link(*name)?.index;
        for family in Family::ALL {
            for route in inside.routes(family, Some(link), table::MAIN)?.iter().filter(|route| route.is_default()) {
                let later =
                    Route { priority: Some(route.priority.unwrap_or(0).saturating_add(metric)), ..route.clone() };
                inside.batch().delete_route(route).add_route(&later).send()?;
            }
        }
    }
    Ok(())
}
