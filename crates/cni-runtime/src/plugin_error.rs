//! What goes wrong with a plugin.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use cni::{Code, PluginType};

/// Why a plugin has not done what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields that have no line of their own are what their names say")]
pub enum PluginError {
    /// It is in none of the folders.
    #[error("plugin {plugin} is not in {folders}: install it there, or correct the network's \"type\"")]
    NotFound { plugin: PluginType, folders: String },
    /// Whether it is there cannot be told.
    #[error(transparent)]
    Unseen(#[from] cni::Unseen),
    /// Its program is being written just now.
    #[error("plugin {plugin} is being installed ({}): try again", path.display())]
    Busy { plugin: PluginType, path: PathBuf },
    /// Its program cannot be run.
    #[error("run plugin {plugin} ({})", path.display())]
    NotRun { plugin: PluginType, path: PathBuf, source: io::Error },
    /// It says why.
    #[error("plugin {plugin}: {command} failed{}", said(stderr))]
    Failed {
        plugin: PluginType,
        command: &'static str,
        /// What it printed: code, message, details.
        source: Box<cni::Error>,
        /// What it wrote there, if that was captured.
        stderr: String,
    },
    /// It does not say why.
    #[error("plugin {plugin}: {command} failed ({status}) and printed no error, but {printed}{}", said(stderr))]
    Silent { plugin: PluginType, command: &'static str, status: ExitStatus, printed: String, stderr: String },
    /// Its process was killed.
    #[error("plugin {plugin}: {command} was ended by signal {signal}{}", said(stderr))]
    Killed { plugin: PluginType, command: &'static str, signal: i32, stderr: String },
    /// It succeeded, and printed something else than an answer.
    #[error("plugin {plugin}: {command} printed no answer, but {printed}")]
    NoAnswer { plugin: PluginType, command: &'static str, printed: String, source: Box<cni::Error> },
}

impl PluginError {
    /// As the protocol has it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::InvalidConfig,
            Self::Unseen(_) | Self::NotRun { .. } => Code::Io,
            Self::Busy { .. } => Code::TryAgainLater,
            Self::Failed { source, .. } => source.code(),
            Self::Silent { .. } | Self::Killed { .. } => Code::Internal,
            Self::NoAnswer { .. } => Code::Decode,
        }
    }
}

fn said(stderr: &str) -> String {
    let said = stderr.trim();
    if said.is_empty() { String::new() } else { format!(" (on standard error: {said})") }
}

/// A glimpse of what was printed.
pub(crate) fn quote(printed: &[u8]) -> String {
    const GLIMPSE: usize = 200;
    let text = String::from_utf8_lossy(printed);
    let text = text.trim();
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let glimpse: String = text.chars().take(GLIMPSE).collect();
    let rest = if glimpse.len() < text.len() { " and more" } else { "" };
    format!("{glimpse:?}{rest}")
}
