//! A network namespace as a file can hold it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Result, if_found};
use crate::netns::{Home, Netns, NetnsId, cookie_here};
use crate::netns_error::NetnsError;

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
    pub fn of(netns: &Netns) -> Result<Self> {
        let NetnsId { device, inode } = netns.id();
        Ok(Self { path: netns.path().to_owned(), device, inode, cookie: netns.cookie()? })
    }

    /// Whether both are the same namespace, by whatever paths they were opened.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let identity = |namespace: &Self| (namespace.device, namespace.inode, namespace.cookie);
        identity(self) == identity(other)
    }

    /// Its device and inode.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        NetnsId { device: self.device, inode: self.inode }
    }

    /// The namespace, if the path still leads to it.
    ///
    /// # Errors
    /// What is there now cannot be opened.
    pub fn open(&self) -> Result<Option<Netns>> {
        let Some(netns) = self.find()? else { return Ok(None) };
        let is_same = self.is_known_as(&netns) || netns.cookie()? == self.cookie;
        Ok(is_same.then_some(netns))
    }

    /// Runs `body` inside the namespace, if the path still leads to it.
    ///
    /// # Errors
    /// As [`Namespace::open`] and [`Netns::run`].
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<Option<(Netns, T)>> {
        self.run_from(&Home::here()?, body)
    }

    /// The same from `home`, for who goes to many namespaces.
    ///
    /// # Errors
    /// As [`Namespace::run`].
    pub fn run_from<T: Send>(&self, home: &Home, body: impl FnOnce() -> T + Send) -> Result<Option<(Netns, T)>> {
        let Some(netns) = self.find()? else { return Ok(None) };
        let is_known = self.is_known_as(&netns);
        // It is entered once, for both.
        let done = netns.run_from(home, || {
            let is_same = is_known || cookie_here()? == self.cookie;
            Ok(is_same.then(body))
        })?;
        let done = done.map_err(|source| NetnsError::Cookie { path: self.path.clone(), source })?;
        Ok(done.map(|done| (netns, done)))
    }

    /// What the path leads to now, if it has the same identity.
    fn find(&self) -> Result<Option<Netns>> {
        Ok(if_found(Netns::open(&self.path))?.filter(|netns| netns.id() == self.id()))
    }

    /// Whether a namespace of that identity is known to be this one without being entered.
    fn is_known_as(&self, netns: &Netns) -> bool {
        self.cookie.is_none() || netns.number() == self.cookie
    }

    /// Whether the path still leads to the namespace.
    ///
    /// # Errors
    /// As [`Namespace::open`].
    pub fn exists(&self) -> Result<bool> {
        Ok(self.open()?.is_some())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_can_be_asked_for_outside_is_the_cookie() {
        let here = Netns::current().unwrap();
        assert!(here.number().is_none_or(|number| Some(number) == here.cookie().unwrap()));
    }

    #[test]
    fn the_same_inode_with_another_cookie_is_another_namespace() {
        let mut namespace = Namespace::of(&Netns::current().unwrap()).unwrap();
        assert!(namespace.exists().unwrap());
        assert_eq!(namespace.run(|| 7).unwrap().map(|(_, seven)| seven), Some(7));
        namespace.cookie = namespace.cookie.map(|cookie| cookie + 1);
        assert!(!namespace.exists().unwrap());
        assert!(namespace.run(|| 7).unwrap().is_none());
    }
}
