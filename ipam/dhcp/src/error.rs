use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni_plugin::{Attachment, Code};

use crate::config::DEFAULT_SOCKET;
use ip::Family;

use crate::lease::protocol;

/// What the plugin and the daemon's upkeep can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Error {
    #[error("the value to provide as DHCP option {option} has {length} bytes, and an option holds 255")]
    ValueTooLong { option: u8, length: usize },
    #[error("{text:?} is not an address that a server could be asked for")]
    NotAnAddress { text: String },
    #[error("{} and {} are both requested, but a container gets only one address by {}", addresses[0], addresses[1], protocol(*family))]
    TwoAddresses { family: Family, addresses: [IpAddr; 2] },
    #[error("{address} is asked for, but {family} is not among the \"families\" of this network's \"ipam\"")]
    NoSuchFamily { family: Family, address: IpAddr },
    #[error("{attachment} requested address {wanted}, but already has another lease")]
    OtherAddress { attachment: Attachment, wanted: IpAddr },
    #[error("no dhcp daemon listens on {}", socket.display())]
    Absent { socket: PathBuf },
    #[error("the process that listens on {} is not this plugin's dhcp daemon", socket.display())]
    NotOurs { socket: PathBuf, said: String },
    #[error("the dhcp daemon on {} is of another release than this plugin", socket.display())]
    OtherVersion { socket: PathBuf, daemon: u32, plugin: u32 },
    #[error("the dhcp daemon on {} does not answer", socket.display())]
    Silent { socket: PathBuf },
    #[error("the dhcp daemon on {} ended before it answered", socket.display())]
    Ended { socket: PathBuf },
    #[error("talk to the dhcp daemon on {}", socket.display())]
    Talk { socket: PathBuf, source: io::Error },
    /// The daemon's own.
    #[error(transparent)]
    Daemon(#[from] cni_plugin::Error),
    #[error("the dhcp daemon on {} answered a different request", socket.display())]
    WrongAnswer { socket: PathBuf },
    #[error("{doing} {}", path.display())]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("another dhcp daemon holds {}", path.display())]
    Locked { path: PathBuf },
    #[error("resolve the path {} of the network namespace", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error("expected {attachment} to have a lease ({family}), found none")]
    NoLease { attachment: Attachment, family: Family },
    #[error("expected {attachment} to have the lease that its ADD reported ({family}), found one for {found}")]
    OtherLease { attachment: Attachment, family: Family, found: String },
}

impl Error {
    fn code(&self) -> Code {
        match self {
            Self::ValueTooLong { .. }
            | Self::NotAnAddress { .. }
            | Self::TwoAddresses { .. }
            | Self::NoSuchFamily { .. } => Code::InvalidConfig,
            Self::Absent { .. } | Self::NotOurs { .. } | Self::OtherVersion { .. } => Code::Unavailable,
            Self::OtherAddress { .. } | Self::Silent { .. } | Self::Ended { .. } => Code::TryAgainLater,
            Self::Talk { .. } | Self::Store { .. } => Code::Io,
            Self::Daemon(error) => error.code(),
            Self::Path { .. } => Code::InvalidEnvironment,
            Self::WrongAnswer { .. } | Self::Locked { .. } | Self::NoLease { .. } | Self::OtherLease { .. } => {
                Code::Internal
            }
        }
    }

    /// What to do about it, where a user can do something.
    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Absent { socket } => start(socket),
            Self::NotOurs { said, socket } if said.is_empty() => {
                format!("it hung up without an answer; stop it, and {}", start(socket))
            }
            Self::NotOurs { said, socket } => format!("it answered {said:?}; stop it, and {}", start(socket)),
            Self::OtherVersion { daemon, plugin, .. } => {
                format!("it speaks version {daemon}, the plugin {plugin}: restart the daemon, its leases are kept")
            }
            Self::Silent { .. } => "look at its log; if it is stuck, restart it, its leases are kept".into(),
            Self::Ended { .. } => "it was stopped, or look at its log; the next one takes its leases up".into(),
            Self::OtherLease { .. } => {
                "the server has given it another address since; the daemon's log says whether the interface has it"
                    .into()
            }
            Self::OtherAddress { .. } => {
                "run DEL first; and a daemon of an older release does not know how to ask".into()
            }
            Self::Locked { .. } => "stop that one first, or give this one another -socketpath".into(),
            _ => return None,
        })
    }
}

/// How to start the daemon.
fn start(socket: &Path) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "dhcp".into());
    let path =
        if socket == Path::new(DEFAULT_SOCKET) { String::new() } else { format!(" -socketpath {}", socket.display()) };
    format!(
        "start the daemon: {} daemon{path} (with systemd: systemctl enable --now cni-dhcp.socket)",
        program.display()
    )
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        if let Error::Daemon(inner) = error {
            return inner;
        }
        let told = Self::from_chain(error.code(), &error);
        match error.remedy() {
            Some(remedy) => told.with_details(remedy),
            None => told,
        }
    }
}
