use std::io;
use std::path::PathBuf;

use cni_plugin::Code;

/// Why something cannot be tuned, or is no longer as it was tuned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// The container's namespace, or its interface.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A sysctl in it.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// The same sysctl twice.
    #[error("\"sysctl\" names {key} twice: leave one of the two out")]
    Duplicate { key: String },
    /// The administrator does not allow it.
    #[error("sysctl {key} is not allowed: no pattern in {} matches it", file.display())]
    NotAllowed {
        /// The sysctl as it is spelt.
        key: String,
        file: PathBuf,
    },
    /// A line of the allowlist.
    #[error("{pattern:?} in {} is not a regular expression", file.display())]
    Pattern {
        pattern: String,
        file: PathBuf,
        /// What is wrong with it.
        source: regex_lite::Error,
    },
    /// A file or folder: the allowlist, or what is to be restored.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        /// With what.
        path: PathBuf,
        source: io::Error,
    },
    /// CHECK: it was changed.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
}

impl Error {
    /// The kernel has refused a value, as it would the next time.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Netlink(error) => error.is_refusal(),
            Self::Sysctl(error) => error.is_refusal(),
            _ => false,
        }
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::Duplicate { .. } | Error::NotAllowed { .. } | Error::Pattern { .. } => Code::InvalidConfig,
            Error::File { .. } => Code::Io,
            Error::Netlink(_) | Error::Sysctl(_) | Error::Differs(_) => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
