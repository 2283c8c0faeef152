//! The container's end of an attachment: what every interface plugin does once its link exists.
//!
//! [`configure()`] gives the link what the IPAM plugin decided, [`reconfigure()`] what it decides later, and [`check()`]
//! compares it with what ADD reported. All work through a socket of the container's namespace; only IPv6's sysctls have to
//! be set from inside.
//!
//! - [`link`] makes and deletes links that are in the container alone
//! - [`loopback`] sets `lo` up and down, which every namespace has
//! - [`mac`] determines the requested hardware address
//! - [`point_to_point`] has the routes of links on which only the gateway can be reached
//! - [`routed`] is the host's end of a link by which it routes to one container
//! - [`router`] switches IP forwarding on
//! - [`veth`] makes and deletes links whose other end is on the host

mod check;
mod configure;
mod error;
pub mod link;
pub mod loopback;
pub mod mac;
pub mod point_to_point;
mod reconfigure;
pub mod routed;
pub mod router;
pub mod veth;

pub use check::{check, check_sandbox};
pub use configure::{Setup, configure};
pub use error::Error;
pub use reconfigure::reconfigure;
