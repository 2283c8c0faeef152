//! `netavark`, called as Podman 5 calls it.
//!
//! These tests run on Debian 13's netavark as well: `CNI_BIN_DIR=/usr/lib/cni scripts/test.sh --named netavark::`.
//!
//! - `bridge`: networks on a bridge, and each of their options
//! - `dhcp`: addresses of a DHCP server
//! - `errors`: what cannot work is said, and undone
//! - `interrupted`: calls that are killed in the middle
//! - `isolation`: which networks reach which
//! - `macvlan`: containers as machines of the host's own network
//! - `names`: what containers find each other by
//! - `ports`: what of a container is published, and where
//! - `routes`: routes of a network's own
//! - `rules`: firewalls that are flushed, and many containers at once

mod bridge;
mod dhcp;
mod errors;
mod interrupted;
mod isolation;
mod macvlan;
mod names;
mod ports;
mod routes;
mod rules;

use serde_json::Value;
use tests::{Container, Host, Inside as _, netavark};

/// A container whose `lo` is up, as setup leaves it.
fn container(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    container.run(["ip", "link", "set", "lo", "up"]);
    container
}

/// A network of both families.
fn web() -> Value {
    netavark::bridge("web", &["10.1.0.0/24", "fd00:1::/64"])
}

/// Another one.
fn other() -> Value {
    netavark::bridge("other", &["10.2.0.0/24", "fd00:2::/64"])
}
