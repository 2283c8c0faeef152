//! Networks as Podman 5 and later describes them to its network program, and keeps them in files; and the CNI plugins that they are.
//!
//! [`Network`] is a description, [`Network::driver`] reads its options, and [`Driver::plugins`] are the entries of the list that
//! connects a container in the same way, for [`Endpoint`] options of one container. [`folder`] has the networks of a host's files.

mod bridge;
mod driver;
mod endpoint;
mod error;
pub mod folder;
mod layer2;
mod list;
mod network;
mod options;

pub use bridge::{Bridge, Isolation, Mode};
pub use driver::Driver;
pub use endpoint::{Endpoint, Firewall};
pub use error::Error;
pub use layer2::{Kind, Layer2};
pub use list::{ID, METRIC, list};
pub use network::{Ipam, LeaseRange, Network, Route, RouteType, Subnet};
pub use options::Options;
