use std::io;
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

use cni::NetworkName;

/// Why a command has not done what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, in clap's words.
    #[error("{0}")]
    Usage(String),
    /// What was asked for by `--help` or `--version` is printed.
    #[error("")]
    Shown(ExitCode),
    #[error(
        "this program has a bug and stopped; what it had changed was taken back; please report this with the stderr output"
    )]
    Bug,
    #[error("cannot write the answer to stdout")]
    Answer(#[source] io::Error),
    #[error("cannot read the request from {from}")]
    Read { from: String, source: io::Error },
    #[error("{from} holds no request: {reason}; Podman writes one, or see `podman network inspect`")]
    Request { from: String, reason: String },
    #[error("network {0} of the container is not in \"network_info\", which has to describe it")]
    NotDescribed(String),
    #[error("the request names no network: \"networks\" is empty")]
    NoNetworks,
    #[error(
        "network {network}: no address for the container: Podman passes \"static_ips\"; or create the network with --ipam-driver dhcp or none"
    )]
    NoAddress { network: NetworkName },
    #[error("port mapping {0}: ports end at 65535: use another port, or a smaller range")]
    PortRange(String),
    #[error("port mapping {mapping}: {protocol:?} has no ports: use tcp, udp or sctp")]
    Protocol { mapping: String, protocol: String },
    #[error("{} is the namespace that this program runs in, not a container's", path.display())]
    HostNamespace { path: PathBuf },
    #[error(
        "network {network}: there is no bridge {bridge}, and with option mode=unmanaged it is the administrator's: create it first"
    )]
    NoBridge { network: NetworkName, bridge: String },
    #[error(
        "network {network}: there is no VRF {vrf}, which its option vrf names: create it first (ip link add {vrf} type vrf table …)"
    )]
    NoVrf { network: NetworkName, vrf: String },
    #[error(
        "network {network}: there is no driver {driver}: install a program of that name in a folder of netavark_plugin_dirs (containers.conf)"
    )]
    NoProgram { network: NetworkName, driver: String },
    #[error("driver {driver} of network {network} failed: {reason}")]
    Program { network: NetworkName, driver: String, reason: String },
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "there is no firewall driver {0:?}: set firewall_driver in containers.conf to nftables, iptables, firewalld or none"
    )]
    Firewall(String),
    #[error("no program dhcp, which keeps leases, is in {0}: install ferrocni's plugins there")]
    NoDhcp(String),
    #[error(transparent)]
    Create(#[from] crate::commands::CreateError),
    #[error(transparent)]
    Network(#[from] podman_network::Error),
    #[error(transparent)]
    Name(#[from] cni::InvalidName),
    #[error(transparent)]
    Plugin(#[from] cni::Error),
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    #[error("a plugin's folder has a colon in its name, which separates folders: move the plugins")]
    Folders(#[from] std::env::JoinPathsError),
    #[error(transparent)]
    Executed(#[from] cni_runtime::Error),
    #[error(transparent)]
    Records(#[from] cni_runtime::CacheError),
    #[error(transparent)]
    Names(#[from] names::Error),
    #[error(transparent)]
    NameServer(#[from] names::ServerError),
    #[error(transparent)]
    Firewalld(#[from] firewalld::Error),
}

/// An error of a plugin, as the plugin itself says it.
pub(crate) fn told<E: Into<cni::Error>>(error: E) -> Error {
    Error::Plugin(error.into())
}

impl From<Error> for cni::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Plugin(error) => error,
            error => Self::from_chain(cni::Code::Internal, &error),
        }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace(['\n', '\r'], " ")
}
