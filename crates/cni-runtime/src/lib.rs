#![doc = include_str!("../README.md")]

mod add;
mod cache;
mod check;
mod del;
mod endpoint;
mod error;
mod gc;
mod network;
mod networks;
mod outcome;
mod plugin_error;
mod record;
mod request;
mod runtime;
mod version;

pub use cache::{Cache, CacheError, Cached};
pub use endpoint::{Attached, Endpoint};
pub use error::Error;
pub use network::{ConfigError, Network, NetworkFile};
pub use networks::{Networks, NotFound};
pub use plugin_error::PluginError;
pub use runtime::{Runtime, Stderr};
