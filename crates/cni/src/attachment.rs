//! What the protocol is about: an interface of a container in a network.

use std::fmt;

use crate::name::{ContainerId, IfName, InvalidName, NetworkName};

/// What is attached: one interface of one container in one network.
///
/// The three words are the primary key of everything a plugin keeps (spec, "General considerations"). None of them can hold a
/// slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attachment {
    /// The network's name, from `name` in the configuration.
    pub network: NetworkName,
    /// The container's id (`CNI_CONTAINERID`).
    pub container: ContainerId,
    /// The interface's name inside the container (`CNI_IFNAME`).
    pub ifname: IfName,
}

impl Attachment {
    /// The attachment of these names.
    ///
    /// # Errors
    /// The first of them that is not valid.
    pub fn new(network: &str, container: &str, ifname: &str) -> Result<Self, InvalidName> {
        Ok(Self {
            network: NetworkName::new(network)?,
            container: ContainerId::new(container)?,
            ifname: IfName::new(ifname)?,
        })
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} on network {} (interface {})", self.container, self.network, self.ifname)
    }
}
