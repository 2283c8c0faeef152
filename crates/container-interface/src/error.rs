use std::fmt::Display;
use std::net::IpAddr;

use cni_plugin::{Attachment, Code, Difference, IfName};

/// What kept a container's interface from being set up, or how it differs from what it should be.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// A namespace, link, address or route.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A sysctl inside the container.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// An ADD before this one, without a DEL in between.
    #[error("{attachment} is connected already: an earlier ADD was not followed by DEL, so run DEL first")]
    AttachedAlready {
        /// Whose interface it is.
        attachment: Attachment,
    },
    /// A link of the host has the name that its end was to have.
    #[error(
        "the host has a link {name} already: choose another name for the host's end of the pair, or remove that first"
    )]
    HostNameTaken { name: String },
    /// Another interface has the name.
    #[error("the container has an interface {ifname} already: choose another name (CNI_IFNAME), or remove it first")]
    NameTaken { ifname: IfName },
    /// The host has a route to the container's address already.
    #[error(
        "the host routes {address} to link {link}, so another container has it: give each network a subnet of its own, \
         or delete the container that was left behind"
    )]
    AddressTaken { address: IpAddr, link: String },
    /// CHECK found something else than ADD reported.
    #[error(transparent)]
    Differs(#[from] Difference),
    /// prevResult does not list the interface, so there is nothing to compare with.
    #[error("the result of the previous ADD lists no interface {ifname} inside a container")]
    NotInResult { ifname: IfName },
}

impl Error {
    /// For CHECK: a property of the interface in the container is not as ADD left it.
    #[must_use]
    pub fn differs(what: &str, ifname: &impl Display, expected: &str, found: &str) -> Self {
        Difference::new(format!("{what} of interface {ifname} in the container"), expected, found).into()
    }

    /// The CNI code: a namespace that is none is the runtime's mistake, everything else the world's.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Self::NotInResult { .. } | Self::AddressTaken { .. } => Code::InvalidConfig,
            _ => Code::Internal,
        }
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        Self::from_chain(error.code(), &error)
    }
}
