//! The sockets of a daemon that std does not open.
//!
//! - [`PacketSocket`]: whole IPv4 packets on one link that has no address yet, or not that one.
//! - [`udp`]: UDP over one link, and whether what was sent has left the host.
//! - [`inherited`]: the sockets that systemd has for the daemon that it starts.
//! - [`manager`]: what the daemon tells systemd.
//!
//! None of them blocks, so that an event loop can hold them ([`watch()`]). Each is opened in the calling thread's network namespace
//! and belongs to it for good, wherever it is used later.

pub mod inherited;
pub mod manager;
mod packet;
pub mod udp;
mod watch;

pub use packet::{BROADCAST, PacketSocket};
pub use watch::watch;
