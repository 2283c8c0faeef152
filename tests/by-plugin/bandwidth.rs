//! bandwidth: how fast a container receives and sends, and what the host has for that.
//!
//! - `lifetime`: what CHECK notices, DEL and GC remove, STATUS foresees; many at once; the reference's attachments
//! - `rates`: each limit as traffic meets it
//! - `refusals`: what cannot be limited, and why

mod lifetime;
mod rates;
mod refusals;

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _};

/// The reference's own binary, whichever is under test.
const REFERENCE: &str = "/usr/lib/cni/bandwidth";

/// A network on a bridge, limited.
fn network<'h>(host: &'h Host, bandwidth: &Value) -> Chain<'h> {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]});
    let mut bandwidth = bandwidth.clone();
    bandwidth["type"] = json!("bandwidth");
    bandwidth["capabilities"] = json!({"bandwidth": true});
    let bridge = json!({"type": "bridge", "bridge": "br0", "isGateway": true, "enabledad": false, "ipam": ipam});
    host.chain(&json!({"name": "net", "plugins": [bridge, bandwidth]}))
}

/// Limits for both directions, in bits.
fn both() -> Value {
    json!({"ingressRate": 20_000_000, "ingressBurst": 4_000_000, "egressRate": 40_000_000, "egressBurst": 8_000_000})
}

/// A container that has an interface `eth0` whose other end on the host has the container's name.
fn with_veth(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    host.shell(&format!(
        "ip link add {name} type veth peer name eth0 netns {name}; ip link set {name} up; ip -n {name} link set eth0 up"
    ));
    container
}

/// A call of bandwidth alone, in a network of the same name as [`network`]'s.
fn call<'h>(host: &'h Host, binary: &str, verb: &str, container: &Container, keys: &Value) -> Cni<'h> {
    let mut config = keys.clone();
    config["type"] = json!("bandwidth");
    config["name"] = json!("net");
    config["cniVersion"] = json!("1.0.0");
    if config.get("prevResult").is_none() {
        let host_end = json!({"name": container.id, "mac": "02:00:00:00:00:01"});
        let inside = json!({"name": "eth0", "sandbox": container.netns});
        config["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": [host_end, inside]});
    }
    host.cni(binary).command(verb).container(container).config(&config)
}

/// The queueing disciplines that somebody has made, line by line without those of links that have gone.
fn disciplines(host: &Host) -> Vec<String> {
    let shown = host.run(["tc", "qdisc", "show"]);
    let made = |line: &&str| line.starts_with("qdisc tbf") || line.starts_with("qdisc ingress");
    shown.lines().filter(made).map(|line| line.trim().to_owned()).collect()
}

/// The names of the links that send what containers send.
fn ifbs(host: &Host) -> Vec<String> {
    let links = host.ip_json(["link", "show", "type", "ifb"]);
    // No such link is shown as an empty object.
    let names = links.as_array().unwrap().iter().filter_map(|link| link["ifname"].as_str());
    names.map(str::to_owned).collect()
}
