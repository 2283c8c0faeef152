#![doc = include_str!("../README.md")]

mod address;
mod args;
mod attachment;
mod error;
pub mod json;
mod list;
mod misfit;
mod name;
mod program;
mod result;
mod verb;
mod version;

pub use address::{cidr, ip};
pub use args::Args;
pub use attachment::Attachment;
pub use error::{Code, Error, Failures};
pub use list::{NetworkList, PluginConfig};
pub use name::{ContainerId, IfName, InvalidName, LinkName, NetworkName, PluginType};
pub use program::{Program, Unseen};
pub use result::{AddResult, Dns, Interface, IpConfig, NetworkDns, Route};
pub use verb::Verb;
pub use version::SpecVersion;
