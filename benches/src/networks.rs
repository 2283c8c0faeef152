//! The networks that are measured.

use serde_json::{Value, json};

use crate::suite::Network;

/// The plugins of the networks below, and of a container's loopback.
pub(crate) const PROGRAMS: [&str; 5] = ["bridge", "host-local", "portmap", "firewall", "loopback"];

/// (a): a bridge that masquerades.
pub(crate) fn masqueraded() -> Network {
    Network { name: "bench-a", plugins: vec![bridge(true)] }
}

/// (a'): a bridge that does not.
pub(crate) fn plain() -> Network {
    Network { name: "bench-plain", plugins: vec![bridge(false)] }
}

/// (b): what a container with published ports gets.
pub(crate) fn published() -> Network {
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    Network { name: "bench-b", plugins: vec![bridge(true), portmap, json!({"type": "firewall"})] }
}

/// Addresses alone, without a bridge; `name` is also the folder of their reservations.
pub(crate) fn addresses(name: &'static str) -> Network {
    Network { name, plugins: vec![json!({"type": "host-local", "ipam": ipam()})] }
}

/// A container's loopback alone.
pub(crate) fn loopback() -> Network {
    Network { name: "bench-lo", plugins: vec![json!({"type": "loopback"})] }
}

fn bridge(masquerade: bool) -> Value {
    json!({"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": masquerade, "ipam": ipam()})
}

fn ipam() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]})
}
