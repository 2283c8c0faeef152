//! Netlink messages, taken apart: what rtnetlink and netfilter have in common (linux/netlink.h).
//!
//! Nothing here indexes without a length check, so no input can panic.

mod attribute;
mod message;

pub use attribute::{Attribute, Attributes};
pub use message::{HEADER_LEN, Message, Refusal, Verdict};

/// How often a dump that was interrupted by a change ([`Message::is_interrupted_dump`]) is started again before giving up. A
/// hundred containers that start at once change what is listed a hundred times.
pub const DUMP_ATTEMPTS: u32 = 100;

/// The 16 bits at `at`, in the host's byte order.
#[must_use]
pub fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    read(bytes, at).map(u16::from_ne_bytes)
}

/// The 32 bits at `at`, in the host's byte order.
#[must_use]
pub fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    read(bytes, at).map(u32::from_ne_bytes)
}

/// The signed 32 bits at `at`, in the host's byte order.
#[must_use]
pub fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    read(bytes, at).map(i32::from_ne_bytes)
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
