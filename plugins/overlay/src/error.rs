use cni_plugin::{Code, NetworkName};
use overlay::ingress::Port;

/// What the overlay plugin can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// Addresses, and what this host has of the network.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Ports that every host answers.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// A port is none.
    #[error("{0} is not a port: use 1 to 65535")]
    NoPort(i64),
    /// A protocol has none.
    #[error("{0:?} has no ports: use tcp, udp or sctp")]
    NoProtocol(String),
    /// One host's address.
    #[error("port {0} is to be answered by every host, and {1:?} is no address that each of them has: leave it out")]
    HostAddress(Port, String),
    /// Nothing comes in.
    #[error("network {0} is internal: nothing outside of it reaches its containers, so that they cannot publish ports")]
    Internal(NetworkName),
    /// The packet filter.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// CHECK: a port does not lead to the container.
    #[error("port {port}, which every host is to answer, does not lead to its container on this host: {why}")]
    Unled {
        /// The port.
        port: Port,
        /// What is missing, and what to do.
        why: String,
    },
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
            Error::NoPort(_) | Error::NoProtocol(_) | Error::HostAddress(..) | Error::Internal(_) => {
                Code::InvalidConfig
            }
            Error::Overlay(_) | Error::Nftables(_) | Error::Unled { .. } => Code::Internal,
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::Netlink(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
