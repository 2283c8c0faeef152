//! portmap: published ports, by traffic and by what is in the packet filters.
//!
//! - `reach`: from where a port is reached, and whom the server sees
//! - `reference`: what the reference published before this suite was installed
//! - `loopback`: 127.0.0.1 and ::1, and that nobody else gets there
//! - `sharing`: who has a port, when several want it
//! - `stale`: UDP peers that do not stop sending
//! - `iptables`: the other backend
//! - `upkeep`: CHECK, DEL, GC, STATUS, and a host whose rules are its own

mod iptables;
mod loopback;
mod reach;
mod reference;
mod sharing;
mod stale;
mod upkeep;

use serde_json::{Value, json};
use tests::{Chain, Host};

use crate::networks::{bridged, portmap, ports};

/// Network `number` whose containers publish these `(protocol, port of the host, port of the container)`.
fn publishing<'h>(host: &'h Host, number: u8, mappings: &[(&str, u16, u16)]) -> Chain<'h> {
    host.chain(&bridged(number, &[portmap(&json!({}))])).capabilities(&ports(mappings))
}

/// The same with more keys for portmap, and with any capability arguments.
fn publishing_with<'h>(host: &'h Host, number: u8, keys: &Value, port_mappings: &Value) -> Chain<'h> {
    host.chain(&bridged(number, &[portmap(keys)])).capabilities(&json!({"portMappings": port_mappings}))
}
