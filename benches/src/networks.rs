//! The networks that are measured.

use serde_json::{Value, json};

use crate::host::WIRE;
use crate::suite::Network;

/// The plugins of the networks below, and of a container's loopback.
pub(crate) const PROGRAMS: [&str; 11] = [
    "bridge",
    "host-local",
    "portmap",
    "firewall",
    "loopback",
    "macvlan",
    "ptp",
    "tuning",
    "bandwidth",
    "sbr",
    "static",
];

/// The plugins of the network that not every kernel can have.
pub(crate) const IPVLAN_PROGRAMS: [&str; 2] = ["ipvlan", "host-local"];

/// What names need of ours, and of the reference.
pub(crate) const NAMES_PROGRAMS: [&str; 2] = ["dnsname", "ferrocni-dns"];
pub(crate) const OTHER_NAMES_PROGRAMS: [&str; 3] = ["bridge", "host-local", "dnsname"];

/// The command, and the plugins of the networks that it makes.
pub(crate) const COMMAND_PROGRAMS: [&str; 8] =
    ["ferrocni", "bridge", "host-local", "portmap", "firewall", "none", "dnsname", "ferrocni-dns"];

/// (a): a bridge with `ipMasq`, and host-local.
pub(crate) fn masqueraded() -> Network {
    network("bench-a", vec![bridge(true)])
}

/// (a'): a bridge that does not.
pub(crate) fn plain() -> Network {
    network("bench-plain", vec![bridge(false)])
}

/// (b): what a container with published ports gets from Podman.
pub(crate) fn published() -> Network {
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let firewall = json!({"type": "firewall", "backend": ""});
    network("bench-b", vec![bridge(true), portmap, firewall, json!({"type": "tuning"})])
}

/// The rules alone of a container whose address is told.
pub(crate) fn told() -> Network {
    let published = published();
    network("bench-told", published.plugins.into_iter().skip(1).take(2).collect())
}

/// A link of its own between container and host.
pub(crate) fn ptp() -> Network {
    network("bench-ptp", vec![json!({"type": "ptp", "ipam": ipam()})])
}

/// The same with what masquerades, as overlay networks have.
pub(crate) fn masqueraded_ptp() -> Network {
    network("bench-ptp", vec![json!({"type": "ptp", "ipMasq": true, "ipam": ipam()})])
}

/// The overlay network that is measured.
pub(crate) const OVERLAY: &str = "bench-overlay";

/// A network over many hosts.
pub(crate) fn overlay() -> Network {
    network(OVERLAY, vec![json!({"type": "overlay"})])
}

/// An address of its own on the host's wire.
pub(crate) fn macvlan() -> Network {
    on_the_wire("bench-macvlan", json!({"type": "macvlan", "master": WIRE, "ipam": ipam()}))
}

/// The same behind the host's address.
pub(crate) fn ipvlan() -> Network {
    on_the_wire("bench-ipvlan", json!({"type": "ipvlan", "master": WIRE, "ipam": ipam()}))
}

/// Two properties of a bridge's interface; the bridge does not count.
pub(crate) fn tuning() -> Network {
    on_a_bridge("bench-tuning", json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1400}))
}

/// A limit in both directions for a bridge's interface; the bridge does not count.
pub(crate) fn bandwidth() -> Network {
    let (rate, burst) = (100_000_000, 10_000_000);
    let limits = json!({
        "type": "bandwidth",
        "ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst,
    });
    on_a_bridge("bench-bandwidth", limits)
}

/// A routing table for the address of a bridge's interface; the bridge does not count.
pub(crate) fn sbr() -> Network {
    on_a_bridge("bench-sbr", json!({"type": "sbr"}))
}

/// The plugin `static` with one address, without an interface plugin.
pub(crate) fn named_address() -> Network {
    let ipam = json!({"type": "static", "addresses": [{"address": "10.88.0.9/16", "gateway": "10.88.0.1"}]});
    network("bench-static", vec![json!({"type": "static", "ipam": ipam})])
}

/// Addresses alone, without a bridge; `name` is also the folder of their reservations.
pub(crate) fn addresses(name: &'static str) -> Network {
    network(name, vec![json!({"type": "host-local", "ipam": ipam()})])
}

/// A container's loopback alone.
pub(crate) fn loopback() -> Network {
    network("bench-lo", vec![json!({"type": "loopback"})])
}

/// The reference's bridge of that name with addresses of that subnet, below names.
pub(crate) fn bridge_of(name: &'static str, bridge: &str, subnet: &str) -> Network {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}]});
    network(name, vec![json!({"type": "bridge", "bridge": bridge, "isGateway": true, "ipam": ipam})])
}

/// Names alone.
pub(crate) fn names(name: &'static str) -> Network {
    network(name, vec![json!({"type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true}})])
}

fn network(name: &'static str, plugins: Vec<Value>) -> Network {
    Network { name, plugins, prepared: 0, needs_wire: false }
}

fn on_a_bridge(name: &'static str, plugin: Value) -> Network {
    Network { prepared: 1, ..network(name, vec![bridge(false), plugin]) }
}

fn on_the_wire(name: &'static str, plugin: Value) -> Network {
    Network { needs_wire: true, ..network(name, vec![plugin]) }
}

fn bridge(masquerade: bool) -> Value {
    json!({"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": masquerade, "ipam": ipam()})
}

fn ipam() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]})
}
