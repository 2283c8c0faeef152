//! The netfilter netlink transport (`NETLINK_NETFILTER`): messages and attributes, requests, dumps, and
//! the batches in which nf_tables takes its transactions.
//!
//! Everything is blocking in the sense that matters: the kernel works on a request inside the `send` call
//! and its answer lies in the socket's queue when that call returns. So nothing here waits, and a lost
//! answer is an error instead of a hang.
//!
//! A [`Socket`] belongs to the network namespace of the thread that opened it, for as long as it lives.

mod batch;
mod error;
mod message;
mod notices;
mod socket;

pub use batch::Batch;
pub use error::{Error, Result};
pub use message::{Message, Reply};
pub use netlink_message::{Attribute, Attributes};
pub use notices::Notices;
pub use socket::Socket;

/// The numbers of a `nfgenmsg` header's family field (`NFPROTO_*`, linux/netfilter.h).
pub mod family {
    /// No family: requests about all of them, and batches.
    pub const UNSPECIFIED: u8 = 0;
    /// IPv4 and IPv6 together (nf_tables only).
    pub const INET: u8 = 1;
    /// IPv4 only.
    pub const IPV4: u8 = 2;
    /// Ethernet bridges.
    pub const BRIDGE: u8 = 7;
    /// IPv6 only.
    pub const IPV6: u8 = 10;
}

/// The netfilter subsystems (`NFNL_SUBSYS_*`, linux/netfilter/nfnetlink.h).
pub mod subsystem {
    /// Connection tracking.
    pub const CONNTRACK: u8 = 1;
    /// nf_tables.
    pub const NFTABLES: u8 = 10;
}

/// Flags of a request (linux/netlink.h).
pub mod flags {
    /// The message asks the kernel for something; every message of ours does.
    pub const REQUEST: u16 = 0x1;
    /// Answer with an acknowledgement.
    pub const ACK: u16 = 0x4;
    /// Fail if the object exists.
    pub const EXCL: u16 = 0x200;
    /// Return every object (`NLM_F_ROOT | NLM_F_MATCH`).
    pub const DUMP: u16 = 0x300;
    /// Create the object if it does not exist.
    pub const CREATE: u16 = 0x400;
    /// Add at the end of the list.
    pub const APPEND: u16 = 0x800;
}
