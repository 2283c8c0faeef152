//! Which network namespace a connection is in.

use std::path::PathBuf;

use netlink::{Netns, NetnsId, if_found};
use serde::{Deserialize, Serialize};

/// A network namespace that is known again: its path may lead to another one by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The path that it was opened from.
    pub path: PathBuf,
    device: u64,
    inode: u64,
    /// Another namespace may get the inode, but not this number. Kernels before 5.14 have none.
    #[serde(default)]
    cookie: Option<u64>,
}

impl Namespace {
    /// What identifies an open namespace.
    ///
    /// # Errors
    /// As [`Netns::cookie`].
    pub fn of(netns: &Netns) -> netlink::Result<Self> {
        let NetnsId { device, inode } = netns.id();
        Ok(Self { path: netns.path().to_owned(), device, inode, cookie: netns.cookie()? })
    }

    /// Whether both are the same namespace, by whatever paths they were opened.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let identity = |namespace: &Self| (namespace.device, namespace.inode, namespace.cookie);
        identity(self) == identity(other)
    }

    /// Whether the path still leads to the namespace.
    ///
    /// # Errors
    /// What is there now cannot be opened.
    pub fn exists(&self) -> netlink::Result<bool> {
        let Some(netns) = if_found(Netns::open(&self.path))? else { return Ok(false) };
        let is_same = netns.id() == NetnsId { device: self.device, inode: self.inode };
        Ok(is_same && (self.cookie.is_none() || self.cookie == netns.cookie()?))
    }
}
