//! The sockets of a daemon that std does not open.
//!
//! - [`PacketSocket`]: whole IPv4 packets on one link that has no address yet, or not that one.
//! - [`udp`]: UDP over one link, and whether what was sent has left the host.
//! - [`inherited`]: the listening socket that systemd made before it started the daemon.
//!
//! None of them blocks, so that an event loop can hold them ([`watch()`]). Each is opened in the calling thread's network namespace
//! and belongs to it for good, wherever it is used later.

pub mod inherited;
mod packet;
pub mod udp;
mod watch;

pub use packet::{BROADCAST, PacketSocket};
pub use watch::watch;
