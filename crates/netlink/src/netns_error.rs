//! What can be wrong with a network namespace.

use std::io;
use std::path::PathBuf;

/// What [`NetnsError::NotANamespace`] calls a regular file.
pub(crate) const REGULAR_FILE: &str = "a regular file";

/// Why a path cannot be used as a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Nothing is there.
    #[error("network namespace {} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something is there, but no namespace. A regular file is what is left of a namespace whose bind mount
    /// went away, as at a reboot.
    #[error("{} is {found}, not a network namespace: name a bind-mounted namespace or /proc/<pid>/ns/net", path.display())]
    NotANamespace {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        found: &'static str,
    },
    /// A namespace of another type (mount, PID, ...).
    #[error("{} is a namespace, but not a network namespace", path.display())]
    NotANetworkNamespace {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be opened or examined.
    #[error("cannot open network namespace {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// It cannot be entered.
    #[error("cannot enter network namespace {}", path.display())]
    Enter {
        /// The path it was opened from.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// That of a process cannot be entered.
    #[error("cannot enter the network namespace of a process")]
    OfProcess(#[source] io::Error),
    /// The kernel makes no new one.
    #[error("cannot make a network namespace")]
    Make(#[source] io::Error),
    /// It does not tell its cookie.
    #[error("cannot read the cookie of network namespace {}", path.display())]
    Cookie {
        /// The path it was opened from.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
}

impl NetnsError {
    /// The namespace is not there any more: missing, or only its empty mount point is left.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            NetnsError::Missing { .. } => true,
            NetnsError::NotANamespace { found, .. } => *found == REGULAR_FILE,
            _ => false,
        }
    }
}
