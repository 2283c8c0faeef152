//! Networks over many hosts: the words that the agent, the plugins and the command have in common.
//!
//! - [`key`] and the types of its values are what stands in etcd, and [`Key::parse`] and each type's deserialization the only way in:
//!   whoever can write there is not trusted to write sense
//! - [`State`] is what the agent leaves in files, so that an ADD needs neither the agent nor etcd
//! - [`Request`] is what is asked of the agent over its socket: what only etcd can decide
//!
//! Nothing here knows etcd: the agent alone speaks to it.

mod block;
mod cluster;
mod error;
mod host;
mod host_id;
pub mod ingress;
pub mod key;
pub mod mtu;
mod network;
mod record;
mod request;
mod state;
mod subnet;
mod vni;

pub use block::Block;
pub use cluster::Cluster;
pub use error::{Error, Nonsense};
pub use host::{Host, WireGuard};
pub use host_id::HostId;
pub use ingress::{IngressState, KnownPort};
pub use key::Key;
pub use network::Network;
pub use record::{Claim, Endpoint};
pub use request::{Agent, Asked, Described, HolderOfBlock, KnownHost, Reply, Request};
pub use state::{AgentState, Claimed, Conflict, Places, State};
pub use subnet::Subnet;
pub use vni::{InvalidVni, Vni};

/// Where the addresses of overlay networks are reserved, a folder for each network.
pub const ADDRESSES: &str = "/var/lib/cni/overlay";
