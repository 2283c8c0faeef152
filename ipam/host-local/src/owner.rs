//! Whose an address is, as a reservation's content says it.

use std::fmt;

use cni_plugin::{Attachment, ContainerId, IfName};

/// A file name has at most 255 bytes; the rest of a longer container id is left to the reservation's content to tell.
const MAX_CONTAINER_IN_LINK: usize = 200;

/// Whose an address is: a container's interface, or in files of old versions a container without saying which interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    container: ContainerId,
    ifname: Option<IfName>,
}

impl From<&Attachment> for Owner {
    fn from(attachment: &Attachment) -> Self {
        Self { container: attachment.container.clone(), ifname: Some(attachment.ifname.clone()) }
    }
}

impl Owner {
    /// The container's id.
    #[must_use]
    pub fn container(&self) -> &ContainerId {
        &self.container
    }

    /// The interface that the address is for; files of old versions do not say it.
    #[must_use]
    pub fn ifname(&self) -> Option<&IfName> {
        self.ifname.as_ref()
    }

    /// Reads a reservation's content; `None` if it is not one.
    pub(crate) fn parse(content: &str) -> Option<Self> {
        let content = content.trim();
        let (container, ifname) = match content.split_once("\r\n") {
            Some((container, ifname)) => (container, Some(IfName::new(ifname).ok()?)),
            None => (content, None),
        };
        Some(Self { container: ContainerId::new(container).ok()?, ifname })
    }

    pub(crate) fn content(&self) -> String {
        match &self.ifname {
            Some(ifname) => format!("{}\r\n{ifname}", self.container),
            None => self.container.to_string(),
        }
    }

    /// The owner of the same container's reservations in the old form.
    pub(crate) fn without_interface(&self) -> Self {
        Self { container: self.container.clone(), ifname: None }
    }

    /// How the names of the owner's links begin; neither a container id nor an interface name can hold a colon.
    pub(crate) fn link_prefix(&self) -> String {
        let container = self.container.as_str();
        let container = container.get(..MAX_CONTAINER_IN_LINK).unwrap_or(container);
        match &self.ifname {
            Some(ifname) => format!("{container}:{ifname}"),
            None => container.to_owned(),
        }
    }

    /// Whether a holder's links are named as this owner's: it is the owner, or the long names of both begin alike.
    pub(crate) fn shares_links_with(&self, holder: &Holder) -> bool {
        matches!(holder, Holder::Owner(other) if other.link_prefix() == self.link_prefix())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ifname {
            Some(ifname) => write!(f, "container {} (interface {ifname})", self.container),
            None => write!(f, "container {}", self.container),
        }
    }
}

/// What is at an address's place in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// There is no file.
    Free,
    /// A reservation by this owner.
    Owner(Owner),
    /// A file without text: what a full disk or a power failure left of a reservation.
    Empty,
    /// Something that no DEL would match: not given away and not removed.
    Unknown,
}

impl Holder {
    /// What a file with this content says.
    pub(crate) fn of(content: &[u8]) -> Self {
        // Some file systems fill with zeroes what a power cut kept from being written.
        if content.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Self::Empty;
        }
        std::str::from_utf8(content).ok().and_then(Owner::parse).map_or(Self::Unknown, Self::Owner)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("not reserved"),
            Self::Owner(owner) => write!(f, "reserved for {owner}"),
            Self::Empty => f.write_str("reserved by an empty file"),
            Self::Unknown => f.write_str("reserved by a file that names no container"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// Used by the store's tests too.
    pub(crate) fn owner(container: &str, ifname: &str) -> Owner {
        Owner { container: ContainerId::new(container).unwrap(), ifname: Some(IfName::new(ifname).unwrap()) }
    }

    #[test]
    fn contents_that_name_no_container_have_no_owner() {
        for content in ["two words", "c1\neth0", "c1\r\na/b", "../x\r\neth0", "c1\r\neth0\r\nmore"] {
            assert_eq!(Holder::of(content.as_bytes()), Holder::Unknown, "{content:?}");
        }
        assert_eq!(Holder::of(b"c1\xff"), Holder::Unknown);
        for content in ["", "\r\n", "\n\n", " ", "\0\0\0"] {
            assert_eq!(Holder::of(content.as_bytes()), Holder::Empty, "{content:?}");
        }
        assert_eq!(Owner::parse("c1\r\n"), Some(owner("c1", "any").without_interface()));
        assert_eq!(Owner::parse(" c1\r\neth0\n"), Some(owner("c1", "eth0")));
    }
}
