use std::path::PathBuf;

use cni_plugin::Code;
use netlink::NetnsId;

/// Why a container does not share the host's network.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// A namespace, or the host's interfaces and addresses.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The container has a network of its own.
    #[error(
        "CNI_NETNS {} is network namespace net:[{}], not the host's, net:[{}]: \
         have the runtime start the container in the host's network namespace and pass that (/proc/1/ns/net), \
         or give the container another network, such as bridge",
        path.display(), found.inode, expected.inode
    )]
    NotTheHosts { path: PathBuf, found: NetnsId, expected: NetnsId },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Netlink(netlink::Error::Netns(_)) | Error::NotTheHosts { .. } => Code::InvalidEnvironment,
            Error::Netlink(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
