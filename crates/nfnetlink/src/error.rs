//! What can go wrong on the socket, with the kernel's errno kept.

use std::io;

use nix::libc;

/// The result of a netfilter netlink operation.
pub type Result<T> = std::result::Result<T, Error>;

/// `ERESTART` is internal to the kernel, so libc does not name it; a batch with a generation id gets it.
const ERESTART: i32 = 85;

/// A failed netfilter netlink operation.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The socket could not be opened or set up.
    #[error("cannot open a netfilter netlink socket")]
    Open(#[source] io::Error),
    /// The request could not be handed to the kernel.
    #[error("cannot send a netfilter request of {length} bytes")]
    Send {
        length: usize,
        #[source]
        source: io::Error,
    },
    /// The kernel's answer could not be read.
    #[error("cannot receive the kernel's answer to a netfilter request")]
    Receive(#[source] io::Error),
    /// The kernel refused a request, or a message of a batch.
    #[error("the kernel refused{}{}", position(*.message), explained(.explanation.as_ref()))]
    Refused {
        /// Which message of the batch, counted from 0; none for a single request or the batch as a whole.
        message: Option<usize>,
        /// The kernel's own words, if it had any.
        explanation: Option<String>,
        #[source]
        source: io::Error,
    },
    /// The answer makes no sense.
    #[error("the kernel's answer to a netfilter request is malformed")]
    Malformed,
    /// An attribute exceeds 65,535 bytes.
    #[error("a netfilter request has an attribute longer than 65,535 bytes")]
    TooLong,
    /// Objects kept changing while they were being read.
    #[error("netfilter objects kept changing while they were read, try again")]
    Interrupted,
}

fn position(message: Option<usize>) -> String {
    message.map(|index| format!(" message {index} of the batch")).unwrap_or_default()
}

fn explained(explanation: Option<&String>) -> String {
    explanation.map(|words| format!(" ({words})")).unwrap_or_default()
}

impl Error {
    pub(crate) fn refused(message: Option<usize>, refusal: netlink_message::Refusal<'_>) -> Self {
        let source = io::Error::from_raw_os_error(refusal.errno);
        Self::Refused { message, explanation: refusal.words.map(str::to_owned), source }
    }

    /// The kernel's errno as a positive number; `None` if it did not refuse, for instance because there was no answer.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// There is no answer, or none any more.
    pub(crate) fn is_empty_queue(&self) -> bool {
        matches!(self, Self::Receive(source) if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// The object, or one that it refers to, does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(libc::ENOENT)
    }

    /// The object exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// The object is in use, or exists with other contents.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.errno() == Some(libc::EBUSY)
    }

    /// The ruleset is no longer that of the batch's generation: look again, then try again.
    #[must_use]
    pub fn is_restart(&self) -> bool {
        self.errno() == Some(ERESTART)
    }

    /// The kernel lacks the subsystem or the feature.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Open(source) => source.raw_os_error() == Some(libc::EPROTONOSUPPORT),
            // EINVAL: nfnetlink's answer when a subsystem's module is not there.
            _ => matches!(self.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL)),
        }
    }
}
