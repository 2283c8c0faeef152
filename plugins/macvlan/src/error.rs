use cni_plugin::Code;
use netlink::Mac;

/// What the macvlan plugin can fail with.
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
    /// Mode passthru, and there are other links.
    #[error(
        "{parent} has macvlan links already, and one of mode passthru has to be the only one: choose another parent"
    )]
    NotAlone { parent: String },
    /// Another mode, and there is a link of mode passthru.
    #[error("{parent} has a macvlan link of mode passthru, which has to be the only one: choose another parent")]
    TakenOver { parent: String },
    /// The hardware address that was asked for is not free.
    #[error("hardware address {mac} is that of another link on the same parent, or of the parent: ask for another")]
    MacInUse { mac: Mac },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Parent(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
