//! Tests of what a kernel may lack: a module a feature, named after it.
//!
//! A plain `cargo test` does not run them. `scripts/test.sh` does: a module whose test `the_kernel_has_it` passes
//! on this machine runs here, all others together in one virtual machine (`scripts/vm-run.sh`), whose kernel
//! has everything below. `scripts/test.sh --feature ipvlan` runs one of them. There a process takes about thirty
//! times longer to start than here, so these tests run few.
//!
//! Each module begins with `the_kernel_has_it`, which makes such a link and nothing else. What needs two features
//! is a module of its own with both in that test.
//!
//! - `bridge_trunk`: 802.1Q links as ports of a bridge that filters by VLAN
//! - `bridge_vlan`: a bridge that filters by VLAN
//! - `dummy`: links without a wire
//! - `examples`: the examples in `conf/` that need a feature are tested in its module (runs anywhere)
//! - `ipvlan`: links that share their master's MAC address
//! - `ipvlan_trunk`: the same on a VLAN
//! - `macvlan_trunk`: macvlan, which every kernel has, on a VLAN
//! - `tunnels`: IP in IP, GRE and their like
//! - `virtual_machine`: `scripts/vm-run.sh` itself (runs anywhere)
//! - `vlan`: 802.1Q links
//! - `vrf`: routing tables of their own
//! - `wireguard`: encrypted links, and the networks over many hosts that need them

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod bridge_trunk;
mod bridge_vlan;
mod dummy;
mod examples;
mod ipvlan;
mod ipvlan_trunk;
mod macvlan_trunk;
mod tunnels;
mod virtual_machine;
mod vlan;
mod vrf;
mod wireguard;
