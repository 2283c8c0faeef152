//! WireGuard devices (drivers/net/wireguard) over generic netlink.
//!
//! A device is made over rtnetlink, as any link. What is said to it here: its key and port, and its peers, each with the addresses
//! that it alone may send from, and to which packets are encrypted for it. The kernel computes the public key.

mod device;
mod error;
mod key;
mod message;
mod socket;

pub use device::{Device, Peer};
pub use error::{Error, Result};
pub use key::{InvalidKey, PrivateKey, PublicKey};
pub use socket::Socket;
