use cni_plugin::{Code, IfName};

/// What the tap plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link or a namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The interface in the container.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The tap itself.
    #[error(transparent)]
    Tap(#[from] tuntap::Error),
    /// The interface's master is not there.
    #[error(
        "the container has no link {bridge}: \"bridge\" is looked for inside the container, so make it there first"
    )]
    NoBridge { bridge: IfName },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
