use cni_plugin::Code;

/// What the dummy plugin can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A namespace or a socket.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The interface in the container.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The kernel was built without such links, or their module is missing.
    #[error("this kernel has no dummy links: install its module \"dummy\", or one that has CONFIG_DUMMY")]
    NotInKernel,
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(inner) => return inner.into(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::Netlink(_) | Error::NotInKernel => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
