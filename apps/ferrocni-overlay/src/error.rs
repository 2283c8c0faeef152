use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cni::NetworkName;

/// What the agent can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The configuration cannot be read.
    #[error("cannot read the agent's configuration {}: see docs/overlay.md for what it says", path.display())]
    Configuration { path: PathBuf, source: io::Error },
    /// The configuration makes no sense.
    #[error("{}: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    /// A file that the configuration names.
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The event loop.
    #[error("cannot start the event loop")]
    Runtime(#[source] io::Error),
    /// The socket for plugins.
    #[error("cannot listen on {}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    /// Another agent runs.
    #[error("another agent has {} already: stop it first", path.display())]
    Another { path: PathBuf },
    /// A state file cannot be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Files shared with plugins.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Records of names.
    #[error(transparent)]
    Names(#[from] names::Error),
    /// Reserved addresses.
    #[error(transparent)]
    Reservations(#[from] host_local::Error),
    /// A link, address, route or neighbour.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The packet filter.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// Connection tracking.
    #[error(transparent)]
    Conntrack(#[from] conntrack::Error),
    /// Forwarding.
    #[error(transparent)]
    Forwarding(#[from] container_interface::Error),
    /// A sysctl of a device.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// The device of encrypted networks.
    #[error(transparent)]
    WireGuard(#[from] wireguard::Error),
    /// It cannot be.
    #[error(
        "this host's kernel has no WireGuard: an encrypted network cannot be joined here, and nothing of it is sent in clear"
    )]
    NoWireGuard,
    /// etcd says no.
    #[error("etcd: cannot {doing}: {}", words(reason))]
    Etcd { doing: &'static str, reason: Box<etcd_client::Error> },
    /// etcd says nothing.
    #[error("etcd has not answered within {} s ({doing})", after.as_secs())]
    Silent { doing: &'static str, after: Duration },
    /// There is no connection to etcd.
    #[error("etcd cannot be reached: {0}")]
    Unreachable(String),
    /// Somebody was faster, again and again.
    #[error("others have changed network {0} each time between our look and our change")]
    Contended(NetworkName),
    /// There is nothing of that name.
    #[error("there is no overlay network {0}: create it with \"ferrocni network create -d overlay {0}\"")]
    NoNetwork(NetworkName),
    /// The address of this host cannot be found.
    #[error("{0}")]
    Underlay(String),
    /// What was asked for cannot be.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Whether it may be possible later.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Etcd { .. } | Self::Silent { .. } | Self::Unreachable(_) | Self::Contended(_))
    }

    /// Whether etcd has failed to answer.
    pub(crate) fn is_of_etcd(&self) -> bool {
        matches!(self, Self::Etcd { .. } | Self::Silent { .. })
    }
}

/// What went wrong, without the types and fields that gRPC's own text has.
fn words(error: &etcd_client::Error) -> String {
    let etcd_client::Error::GRpcStatus(status) = error else { return error.to_string() };
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    let last = causes.last().map(ToString::to_string).filter(|cause| !cause.is_empty());
    last.unwrap_or_else(|| status.message().to_owned())
}
