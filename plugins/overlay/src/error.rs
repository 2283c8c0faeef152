use cni_plugin::Code;

/// What the overlay plugin can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// Addresses, and what this host has of the network.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// A link, address, route or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The pair of links, and both ends of it.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// Masquerade.
    #[error(transparent)]
    Masquerade(#[from] masquerade::Error),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Cluster(inner) => return inner.into(),
            Error::Masquerade(inner) => return inner.into(),
            Error::Container(inner) => return inner.into(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::Netlink(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
