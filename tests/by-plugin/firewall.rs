//! firewall: what gets through, by traffic and by what is in the packet filters.
//!
//! - `policies`: `ingressPolicy`, within a network and between two
//! - `hosts`: hosts whose iptables drop what they forward
//! - `iptables`: the backend that the reference has too
//! - `firewalld`: with a real one
//! - `sharing`: two containers with one address
//! - `unpublished`: `unpublishedPorts`, and another machine
//! - `upkeep`: the administrator's chain, CHECK, DEL, GC, STATUS

mod firewalld;
mod hosts;
mod iptables;
mod policies;
mod sharing;
mod unpublished;
mod upkeep;

use serde_json::{Value, json};
use tests::{Chain, Container, Host, Inside as _, address};

use crate::networks::{bridged, firewall, portmap, ports};

/// Network `number` with portmap for `(protocol, port of the host, port of the container)`, and with these keys for firewall.
fn network<'h>(host: &'h Host, number: u8, keys: &Value, mappings: &[(&str, u16, u16)]) -> Chain<'h> {
    let chained = [portmap(&json!({})), firewall(keys)];
    host.chain(&bridged(number, &chained)).capabilities(&ports(mappings))
}

/// A container with `eth0` in a network.
struct Attached {
    container: Container,
    v4: String,
    v6: String,
}

impl Attached {
    fn to(network: &Chain<'_>, name: &str) -> Self {
        let container = network.host().container(name);
        let result = network.add(&container, "eth0").ok();
        Self { container, v4: address(&result, 0), v6: address(&result, 1) }
    }

    /// Its addresses, each with a port.
    fn at(&self, port: u16) -> [String; 2] {
        [format!("{}:{port}", self.v4), format!("{}:{port}", self.v6)]
    }

    /// Its link-local address, with the interface of somebody else in front of whom it is.
    fn link_local(&self, scope: u32) -> String {
        let addresses = self.container.ip_json(["-6", "addr", "show", "dev", "eth0", "scope", "link"]);
        let mut listed = addresses[0]["addr_info"].as_array().into_iter().flatten();
        let local = listed.find_map(|address| address["local"].as_str()).expect("a link-local address");
        format!("[{local}%{scope}]:80")
    }
}
