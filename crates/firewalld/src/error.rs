//! What can go wrong between us and firewalld.

use std::io::{self, ErrorKind};

/// The result of talking to firewalld.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed conversation with firewalld.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// `DBUS_SYSTEM_BUS_ADDRESS` names nothing we can connect to.
    #[error("cannot connect to the D-Bus address {address:?}: only unix:path= and unix:abstract= are supported")]
    Address { address: String },
    /// There is no bus, or it does not answer in time.
    #[error("cannot talk to the D-Bus system bus at {address}: is dbus running?")]
    Bus {
        address: String,
        #[source]
        source: io::Error,
    },
    /// The bus does not let us in.
    #[error("the D-Bus system bus refused to authenticate this process: {answer}")]
    Authentication { answer: String },
    /// The method was refused.
    #[error("firewalld's {method} failed: {message} ({name})")]
    Refused {
        method: &'static str,
        /// The D-Bus name of the error.
        name: String,
        /// firewalld's words; they start with its own name for the error.
        message: String,
    },
    /// The answer makes no sense.
    #[error("the answer from D-Bus is malformed")]
    Malformed,
}

impl Error {
    /// Whether firewalld refused with one of its error codes, which stand before a colon in its words.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        match self {
            Self::Refused { message, .. } => codes.contains(&message.split(':').next().unwrap_or_default().trim()),
            _ => false,
        }
    }

    /// Whether the bus is none that this process may use: then firewalld, if it runs, is not for it.
    pub(crate) fn is_no_access(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Authentication { .. } => true,
            Self::Bus { source, .. } => source.kind() == ErrorKind::PermissionDenied,
            Self::Refused { .. } | Self::Malformed => false,
        }
    }

    /// Whether there is no system bus, or nothing owns firewalld's name there.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        const NOT_RUNNING: [&str; 2] =
            ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
        const NO_BUS: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::ConnectionRefused];
        match self {
            Self::Bus { source, .. } => NO_BUS.contains(&source.kind()),
            Self::Refused { name, .. } => NOT_RUNNING.contains(&name.as_str()),
            Self::Address { .. } | Self::Authentication { .. } | Self::Malformed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bus_that_is_not_there_or_not_for_us_is_none() {
        let bus = |kind: ErrorKind| Error::Bus { address: "unix:path=/x".into(), source: kind.into() };
        for kind in [ErrorKind::NotFound, ErrorKind::ConnectionRefused] {
            assert!(bus(kind).is_not_running() && !bus(kind).is_no_access(), "{kind}");
        }
        assert!(bus(ErrorKind::PermissionDenied).is_no_access());
        for error in
            [bus(ErrorKind::TimedOut), bus(ErrorKind::UnexpectedEof), bus(ErrorKind::OutOfMemory), Error::Malformed]
        {
            assert!(!error.is_not_running() && !error.is_no_access(), "{error}");
        }
    }

    #[test]
    fn only_firewallds_own_code_counts() {
        let refused = |message: &str| Error::Refused {
            method: "addSource",
            name: "org.fedoraproject.FirewallD1.Exception".into(),
            message: message.into(),
        };
        assert!(refused("ZONE_ALREADY_SET: '10.0.0.1/32' already bound to 'trusted'").is(&["ZONE_ALREADY_SET"]));
        assert!(!refused("INVALID_ZONE: ZONE_ALREADY_SET").is(&["ZONE_ALREADY_SET"]));
        assert!(!Error::Malformed.is(&["ZONE_ALREADY_SET"]));
    }
}
