//! How a link is called, and how the kernel is asked for that (linux/rtnetlink.h, linux/if_link.h).

use std::fmt;

/// Longest name of a link in bytes (`IFNAMSIZ` without its NUL).
pub const MAX_NAME_LEN: usize = 15;
/// Longest alias of a link in bytes (`IFALIASZ` without its NUL).
pub const MAX_ALIAS_LEN: usize = 255;

pub(crate) const RTM_GETLINK: u16 = 18;
/// Length of `struct ifinfomsg`.
pub(crate) const IFINFOMSG_LEN: usize = 16;
pub(crate) const IFLA_IFNAME: u16 = 3;

/// A link by index, which is certain, or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkRef {
    /// The index in the socket's namespace.
    Index(u32),
    /// The name, or an alternative name (`ip link property add … altname`).
    Name(String),
}

impl From<u32> for LinkRef {
    fn from(index: u32) -> Self {
        LinkRef::Index(index)
    }
}

impl From<&str> for LinkRef {
    fn from(name: &str) -> Self {
        LinkRef::Name(name.to_owned())
    }
}

impl fmt::Display for LinkRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkRef::Index(index) => write!(formatter, "#{index}"),
            LinkRef::Name(name) => formatter.write_str(name),
        }
    }
}
