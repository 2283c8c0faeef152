use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with the files and the socket that the agent and others share.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The file system's refusal.
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// A file of the agent's does not say what it should.
    #[error("{} is not as the agent writes it: remove it and restart the agent", path.display())]
    Broken { path: PathBuf, source: serde_json::Error },
    /// The host's id is none.
    #[error("{}: {reason}: remove the file, and the host gets a new id", path.display())]
    HostId { path: PathBuf, reason: String },
    /// A random id could not be drawn.
    #[error("cannot get random numbers from the kernel: {0}")]
    Random(getrandom::Error),
    /// Nobody answers at the agent's socket.
    #[error("cannot reach the agent at {}: start it (systemctl start ferrocni-overlay)", path.display())]
    NoAgent { path: PathBuf, source: io::Error },
    /// The agent's answer cannot be read.
    #[error("the agent's answer cannot be read: is it of another version than this program?")]
    Answer(#[source] serde_json::Error),
    /// The agent cannot do it now: etcd does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The agent will not do it.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Names what was being done to which file.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NoAgent { .. } | Self::Unreachable(_))
    }
}

/// A key or a value in etcd that cannot be used: somebody else wrote it, or an enemy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is ignored: {reason}")]
pub struct Nonsense {
    /// The key, shortened and without what a terminal would obey.
    pub key: String,
    /// What is wrong with it, or with its value.
    pub reason: String,
}

impl Nonsense {
    pub(crate) fn new(key: &[u8], reason: impl Into<String>) -> Self {
        let harmless = |text: &str| crate::host_id::shortened(text).replace(char::is_control, "\u{fffd}");
        Self { key: harmless(&String::from_utf8_lossy(key)), reason: harmless(&reason.into()) }
    }
}
