use cni_plugin::{Code, IfName};

/// What keeps a container from being routed by its source addresses.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link, route, rule or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Entering the container for DEL.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// There is nothing to route by.
    #[error(
        "the previous plugin gave interface {ifname} no address: chain this plugin after one that has an \"ipam\", \
         or leave it out"
    )]
    NoAddress { ifname: IfName },
    /// Another ADD to the same container cannot be kept waiting.
    #[error("cannot lock network namespace {path}")]
    Lock { path: String, source: std::io::Error },
    /// CHECK: a rule or a route is not as ADD left it.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoAddress { .. } => Code::InvalidConfig,
            Error::Lock { .. } => Code::Io,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
