use cni_plugin::Code;
use ipnetwork::IpNetwork;

/// What the ptp plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link, address, route or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The pair of links, and the container's end of it.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// Masquerade.
    #[error(transparent)]
    Masquerade(#[from] masquerade::Error),
    /// The IPAM plugin gave an address without a gateway.
    #[error(
        "the network's IPAM plugin gave no gateway with address {address}, and a container of a ptp network reaches \
         all others through one: add a \"gateway\" to its \"ipam\""
    )]
    NoGateway { address: IpNetwork },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Masquerade(inner) => return inner.into(),
            Error::Container(inner) => return inner.into(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoGateway { .. } => Code::InvalidConfig,
            Error::Netlink(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
