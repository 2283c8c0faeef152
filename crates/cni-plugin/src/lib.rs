#![doc = include_str!("../README.md")]

mod absence;
mod call;
mod configuration;
mod delegate;
mod difference;
mod host_network;
mod network;
mod plugin;
mod request;
mod runner;
mod suite;
mod undo;

pub use call::Call;
pub use cni::{
    AddResult, Args, Attachment, Code, ContainerId, Dns, Error, Failures, IfName, Interface, InvalidName, IpConfig,
    LinkName, NetworkDns, NetworkName, PluginType, Route, SpecVersion, Verb, cidr, ip, json,
};
pub use delegate::{Delegate, Sibling};
pub use difference::Difference;
pub use host_network::HostNetwork;
pub use network::Network;
pub use plugin::Plugin;
pub use request::{Add, Check, Del, Gc, Status};
pub use runner::run;
pub use suite::Suite;
pub use undo::Undo;
