//! Links, addresses and routes over a blocking rtnetlink socket.
//!
//! A plugin lives for a millisecond, most of it inside the kernel, so this crate spends as few system calls
//! as the kernel allows: no async runtime, no dump where one object is wanted, and a [`Batch`] that carries
//! any number of requests in one `send` and learns their outcome from one `recv`.
//!
//! - [`Netns`] is a network namespace, [`Socket`] a conversation with the kernel about *one* of them. A
//!   socket stays in the namespace it was opened in, so a plugin holds one for the host and one for the
//!   container, and no code ever has to "be inside".
//! - Requests are built by `rtnetlink` and `netlink-packet-route`. Answers are read by this crate itself,
//!   attribute by attribute: only what is asked for is decoded, so a newer kernel's attributes cannot make
//!   an answer unreadable, and a truncated one is an [`Error::Malformed`], never a panic.
//! - Errors name the request and carry the kernel's own words (extended acknowledgement).
//!
//! ```no_run
//! use netlink::{AddressSpec, Netns, Peer, Route, Socket, Veth};
//!
//! # fn main() -> Result<(), netlink::Error> {
//! let container = Netns::open("/run/netns/blue")?;
//! let mut host = Socket::open()?;
//! let mut inside = Socket::open_in(&container)?;
//!
//! let bridge = host.link("cni0")?;
//! let peer = Peer { name: "eth0", mac: None, mtu: None, netns: Some(&container) };
//! let veth = host.create_veth(&Veth {
//!     master: Some(bridge.index),
//!     alias: Some("ferrocni:net/container/eth0"),
//!     ..Veth::new("vethabc", peer)
//! })?;
//! inside
//!     .batch()
//!     .add_address(&AddressSpec::new(veth.peer_index, "10.1.0.2/24".parse().expect("a network")))
//!     .set_up(veth.peer_index)
//!     .add_route(&Route::default_via("10.1.0.1".parse().expect("an address"), veth.peer_index))
//!     .send()?;
//! # Ok(())
//! # }
//! ```

mod address;
mod batch;
mod changes;
mod error;
mod ingress;
mod link;
mod link_ref;
mod loopback_guard;
mod mac;
mod message;
mod namespace;
mod neighbour;
mod netns;
mod netns_error;
mod netns_number;
mod outgoing;
mod route;
mod rule;
mod socket;
mod traffic_control;
mod wait;

#[cfg(test)]
mod robustness;

pub use address::{Address, AddressSpec};
pub use batch::Batch;
pub use changes::Changes;
pub use error::{Error, Refusal, Request, Result, if_found};
pub use ingress::IngressFilter;
pub use ip::Family;
pub use link::{
    Bridge, BridgePort, CreatedVeth, IpvlanIsolation, IpvlanMode, Link, LinkChange, LinkKind, MacvlanMode, NewLink,
    Peer, PortVlans, Statistics, Veth,
};
pub use link_ref::{LinkRef, MAX_ALIAS_LEN, MAX_NAME_LEN};
pub use mac::{HardwareAddress, InvalidMac, Mac};
pub use namespace::Namespace;
pub use neighbour::{Forwarding, Neighbour};
pub use netns::{Home, Netns, NetnsId};
pub use netns_error::NetnsError;
pub use route::{Route, RouteType, scope, table};
pub use rule::{MarkAction, MarkRule, Rule};
pub use socket::Socket;
pub use traffic_control::TokenBucket;
