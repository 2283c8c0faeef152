use std::io;

/// The result of an operation on a WireGuard device.
pub type Result<T> = std::result::Result<T, Error>;

/// What WireGuard's side of the kernel can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The socket.
    #[error("cannot open a generic netlink socket")]
    Open(#[source] io::Error),
    /// There is no WireGuard.
    #[error("the kernel has no WireGuard: load the module wireguard")]
    Missing(#[source] io::Error),
    /// The socket fails.
    #[error("cannot {doing}")]
    Socket { doing: &'static str, source: io::Error },
    /// The kernel says no.
    #[error("cannot {doing}{}", words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default())]
    Refused { doing: &'static str, words: Option<String>, source: io::Error },
    /// The kernel's answer cannot be read.
    #[error("the kernel's answer about a WireGuard device is malformed")]
    Malformed,
    /// Peers changed again and again while they were listed.
    #[error("the peers of a WireGuard device kept changing while they were read")]
    Interrupted,
    /// There are no random numbers.
    #[error("cannot make a key: there are no random numbers")]
    Random(#[source] getrandom::Error),
}
