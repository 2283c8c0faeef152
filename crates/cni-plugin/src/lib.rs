#![doc = include_str!("../README.md")]

mod address;
mod args;
mod delegate;
mod error;
mod host_network;
pub mod json;
mod misfit;
mod name;
mod request;
mod result;
mod runner;
mod undo;
mod version;

pub use address::{cidr, ip};
pub use args::Args;
pub use delegate::{Delegate, Sibling};
#[doc(hidden)]
pub use dlmalloc::GlobalDlmalloc as Allocator;
pub use error::{Code, Error, Failures};
pub use host_network::HostNetwork;
pub use name::{Attachment, ContainerId, IfName, InvalidName, LinkName, NetworkName, PluginType};
pub use request::{Add, Check, Del, Gc, Network, Status, Verb};
pub use result::{AddResult, Dns, Interface, IpConfig, NetworkDns, Route};
pub use runner::{Plugin, Suite, run};
pub use undo::Undo;
pub use version::SpecVersion;
