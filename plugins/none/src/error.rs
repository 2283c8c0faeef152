use cni_plugin::Code;

/// Why a container is not, or not only, with itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// Its namespace, or `lo` in it.
    #[error(transparent)]
    Loopback(#[from] container_interface::Error),
    /// It has other interfaces.
    #[error(
        "interfaces in the container differ: expected only lo, also found {}: \
         detach the container from its other networks, or leave this one out",
        others.join(", ")
    )]
    NotAlone { others: Vec<String> },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Loopback(inner) => inner.into(),
            Error::NotAlone { .. } => Self::from_chain(Code::Internal, &error),
        }
    }
}

impl From<netlink::Error> for Error {
    fn from(error: netlink::Error) -> Self {
        Self::Loopback(error.into())
    }
}
