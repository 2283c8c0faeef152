use std::net::IpAddr;

use cni_plugin::{Attachment, Code, NetworkName};

/// Why addresses cannot be given, or are not the ones that were.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    #[error("the configuration has no \"ipam\" object: add \"ipam\": {{\"type\": \"cluster\", \"network\": \"NAME\"}}")]
    NoIpam,
    /// The agent, or its files.
    #[error(transparent)]
    Agent(#[from] overlay::Error),
    /// The agent answered something else than it was asked.
    #[error("the agent has given another answer than was asked for: is it of another version than this program?")]
    Answer,
    /// Another host owns a block of which containers here have addresses.
    #[error(
        "another host ({owner}) owns block {block} of network {network} now, of which containers of this host have addresses: stop \
         them first ({containers})"
    )]
    Conflict { network: NetworkName, block: String, owner: String, containers: String },
    /// An address was taken away by the agent each time.
    #[error("the addresses of network {0} were changed each time between our look and our choice")]
    Contended(NetworkName),
    /// The address that is asked for cannot be a container's.
    #[error("{address} is no address for a container of network {network} ({subnets})")]
    Outside { address: IpAddr, network: NetworkName, subnets: String },
    /// CHECK: the attachment has no address.
    #[error("nothing is reserved for {0}")]
    NothingReserved(Attachment),
    /// CHECK.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
    /// The host's links, by which attachments of other networks are known.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Reservations.
    #[error(transparent)]
    HostLocal(#[from] host_local::Error),
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] cni_plugin::Error),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Protocol(inner) => return inner,
            Error::HostLocal(inner) => return inner.into(),
            Error::Agent(ref inner) if inner.is_temporary() => Code::TryAgainLater,
            Error::Agent(overlay::Error::Refused(_)) | Error::NoIpam | Error::Outside { .. } => Code::InvalidConfig,
            Error::Agent(_) => Code::Io,
            Error::Contended(_) => Code::TryAgainLater,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
