//! Tests of single plugins: what each verb does to the kernel, read with `ip -j` and `nft -j`.
//!
//! - `bandwidth`: how fast a container receives and sends
//! - `bridge`: the interface plugin, and the container's end of its links
//! - `deleting`: DEL does not wait until the kernel has freed what is gone
//! - `dhcp`: leases from a real server, and the daemon that keeps them
//! - `dnsname`: names of containers, and who starts the server that knows them
//! - `dummy`: what can be tested of dummy interfaces on any kernel
//! - `examples`: every file in `conf/` does what its name says
//! - `firewall`: what gets through, with each backend
//! - `harness_self_test`: the harness notices what it has to notice
//! - `host`: the host's network, shared
//! - `host_device`: devices that move into a container and come back
//! - `host_local`: addresses, and the folder shared with the reference
//! - `loopback`: `lo` in a container
//! - `macvlan`: containers with a MAC address of their own on a network of the host
//! - `networks`: networks that the tests of several plugins use
//! - `none`: no network
//! - `portmap`: published ports
//! - `ptp`: links of containers to the host, without a bridge
//! - `sbr`: routes by the source address
//! - `static_ipam`: addresses that somebody names
//! - `sysctls`: what an ADD sets of them, and how it does where it may not
//! - `tap`: an interface whose other end is a program
//! - `tuning`: sysctls, and properties of interfaces
//! - `vlan`: VLANs of the host's links, as far as every kernel goes

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod bandwidth;
mod bridge;
mod deleting;
mod dhcp;
mod dnsname;
mod dummy;
mod examples;
mod firewall;
mod harness_self_test;
mod host;
mod host_device;
mod host_local;
mod lists;
mod loopback;
mod macvlan;
mod networks;
mod none;
mod portmap;
mod ptp;
mod sbr;
mod static_ipam;
mod sysctls;
mod tap;
mod tuning;
mod vlan;
