//! What goes wrong with an attachment or a network.

use cni::{Attachment, Code, NetworkName, SpecVersion};

use crate::cache::CacheError;
use crate::plugin_error::PluginError;

/// Why a verb has not done what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields that have no line of their own are what their names say")]
pub enum Error {
    /// ADD. What the plugins had done until then was taken back, but for what is left.
    #[error("{attachment} was not attached{}", list(", and not all could be taken back: ", left))]
    NotAdded {
        attachment: Attachment,
        source: Box<Error>,
        /// Why something may be left.
        left: Vec<Error>,
    },
    /// DEL. What did not fail is done, and another DEL does the rest.
    #[error("{attachment} is not wholly detached{}", list(": ", failures))]
    NotDeleted { attachment: Attachment, failures: Vec<Error> },
    /// GC. What did not fail is done.
    #[error("not all garbage of network {network} is collected{}", list(": ", failures))]
    NotCollected { network: NetworkName, failures: Vec<Error> },
    /// A plugin has not done what it was asked.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A record of an attachment cannot be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The result of an ADD cannot be said in the network's version.
    #[error("the result for {attachment} cannot be passed on")]
    Result { attachment: Attachment, source: Box<cni::Error> },
    /// ADD and CHECK look into a namespace.
    #[error("{attachment} has no network namespace: say where it is")]
    NoNetns { attachment: Attachment },
    /// The pair of `CNI_ARGS` would arrive as something else.
    #[error("{key:?} of {attachment} does not fit into CNI_ARGS: leave out ';', and '=' in its name")]
    Arg { attachment: Attachment, key: String },
    /// There is no CHECK yet in the network's version.
    #[error("network {network} has CNI version {version}, and CHECK needs 0.4.0: raise its \"cniVersion\"")]
    CheckUnsupported { network: NetworkName, version: SpecVersion },
    /// No result is recorded, and CHECK is about what it says.
    #[error("{attachment} is not attached, as far as is recorded")]
    NotAttached { attachment: Attachment },
}

impl Error {
    /// As the protocol has it. Of several failures, the first one's.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotAdded { source, .. } => source.code(),
            Self::NotDeleted { failures, .. } | Self::NotCollected { failures, .. } => {
                failures.first().map_or(Code::Internal, Self::code)
            }
            Self::Plugin(error) => error.code(),
            Self::Cache(_) => Code::Io,
            Self::Result { source, .. } => source.code(),
            Self::NoNetns { .. } | Self::Arg { .. } => Code::InvalidEnvironment,
            Self::CheckUnsupported { .. } => Code::IncompatibleVersion,
            Self::NotAttached { .. } => Code::UnknownContainer,
        }
    }
}

/// Each failure with its causes, if there are any failures.
fn list(introduction: &str, failures: &[Error]) -> String {
    let told: Vec<_> = failures.iter().map(|failure| chain(failure)).collect();
    if told.is_empty() { String::new() } else { format!("{introduction}{}", told.join("; and ")) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
