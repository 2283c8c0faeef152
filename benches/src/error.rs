//! What can keep the benchmark from measuring.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::errno::Errno;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the benchmark stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A word on the command line that means nothing.
    #[error("{0}; try --help")]
    Usage(String),
    /// Namespaces and mounts are root's.
    #[error("the benchmark makes network namespaces: run it as root")]
    NotRoot,
    /// A plugin's folder lacks one of the chain.
    #[error(
        "no plugin at {path}: build ferrocni with `cargo build --release`, or name a folder with --ours or --reference"
    )]
    NoPlugin {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A file, folder or program could not be used.
    #[error("{path}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A system call failed.
    #[error("{call} failed")]
    System {
        /// Its name.
        call: &'static str,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A tool of the system failed.
    #[error("{program} ended with {status}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The command failed, or what a measurement needs.
    #[error("{} ended with {status}", program.display())]
    Command {
        /// Its path.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// A plugin failed where it has to succeed for its time to mean anything.
    #[error("{0}")]
    Plugin(#[from] Failure),
    /// A server of names that does not know what it has to.
    #[error("{server} does not answer for {name} as it should")]
    Name {
        /// Where it was asked.
        server: std::net::SocketAddr,
        /// The name.
        name: String,
    },
    /// etcd refuses, or cannot be reached.
    #[error("etcd")]
    Etcd(#[from] etcd_client::Error),
    /// Something that a measurement has to wait for.
    #[error("{what}: not within two minutes")]
    Overdue {
        /// What does not happen.
        what: &'static str,
    },
    /// There was nothing to sum up.
    #[error("nothing was measured: --rounds must be at least 1")]
    NothingMeasured,
}

impl Error {
    /// For `map_err` on what is done to the file, folder or program at `path`.
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.as_ref().to_owned(), source }
    }

    /// For `map_err` on the system call named `call`.
    pub(crate) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |source| Self::System { call, source }
    }
}

/// A plugin said no.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{verb} of {program} failed: {message}")]
pub(crate) struct Failure {
    /// The plugin's path.
    pub(crate) program: String,
    /// `ADD`, `CHECK` or `DEL`.
    pub(crate) verb: &'static str,
    /// The plugin's own words, or how it ended when it said nothing.
    pub(crate) message: String,
}
