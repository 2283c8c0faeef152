use std::io;
use std::net::IpAddr;

use cni_plugin::Code;
use names::start::StartError;
use names::{ServerError, redirect};

/// What keeps a container's names from being known.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// The container's namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The container's `lo`.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The record of the names.
    #[error(transparent)]
    Record(#[from] names::Error),
    /// The way to the server from within the container.
    #[error(transparent)]
    Redirect(#[from] redirect::Error),
    /// The server does not run, and cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server does not do what it should.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// nf_tables is missing.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// Another call for the same container cannot be kept waiting.
    #[error("cannot lock network namespace {path}")]
    Lock { path: String, source: io::Error },
    /// The kernel does not tell.
    #[error("cannot tell whether this host has the gateway's address {gateway}")]
    Gateway { gateway: IpAddr, source: io::Error },
    /// Nowhere to listen.
    #[error(
        "\"listen\": \"gateway\" needs a gateway, and the previous plugin reported none: set \"isGateway\" in it, or leave \"listen\" out"
    )]
    NoGateway,
    /// CHECK: the names are not known as ADD left them.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(inner) => return inner.into(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoGateway => Code::InvalidConfig,
            Error::Record(_) | Error::Lock { .. } => Code::Io,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
