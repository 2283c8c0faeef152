use std::net::IpAddr;

use cni_plugin::Code;
use netlink::Refusal;

/// What the ipvlan plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The interface in the container.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The link that it sits on.
    #[error(transparent)]
    Parent(#[from] parent_interface::Error),
    /// A chain whose previous plugin leaves the master open.
    #[error(
        "the previous plugin reported {count} interfaces, so none of them is the network's \"master\" by itself: add \"master\""
    )]
    NoSoleInterface {
        /// How many.
        count: usize,
    },
    /// Another link on the same parent has the address.
    #[error(
        "address {address} is that of another ipvlan link on the same parent: networks that share a parent need ranges of \
         addresses that do not overlap"
    )]
    AddressInUse { address: IpAddr, source: Refusal },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Parent(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoSoleInterface { .. } => Code::InvalidConfig,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
