//! The runtime: where it finds plugins, how it runs one, and what it remembers.

use std::env::{JoinPathsError, join_paths};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cni::{Attachment, PluginType, Program, SpecVersion};
use serde_json::Value;

use crate::cache::Cache;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::network::Network;
use crate::outcome;
use crate::plugin_error::PluginError;
use crate::request::{Request, args, environment};

/// What becomes of what plugins write to their standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stderr {
    /// It goes where that of this process goes.
    #[default]
    Inherit,
    /// It is part of the error if the plugin fails, and lost if it does not.
    Capture,
}

/// Carries out the verbs of the protocol.
///
/// It holds nothing but paths, so that it can be shared by threads and cloned. Verbs about different containers may be called at
/// once; the specification forbids it for the same container.
#[derive(Debug, Clone)]
pub struct Runtime {
    folders: Vec<PathBuf>,
    /// The same for the plugins.
    path: OsString,
    pub(crate) cache: Cache,
    stderr: Stderr,
}

impl Runtime {
    /// A runtime that finds plugins in these folders, the first one first, and has its cache where libcni has it.
    ///
    /// # Errors
    /// The name of a folder holds a colon, which separates them in `CNI_PATH`.
    pub fn new(folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Result<Self, JoinPathsError> {
        let folders: Vec<PathBuf> = folders.into_iter().map(Into::into).collect();
        let path = join_paths(&folders)?;
        Ok(Self { folders, path, cache: Cache::default(), stderr: Stderr::default() })
    }

    /// The same with another cache.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache, ..self }
    }

    /// The same with that for the plugins' standard error.
    #[must_use]
    pub fn with_stderr(self, stderr: Stderr) -> Self {
        Self { stderr, ..self }
    }

    /// Where it records what is attached.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn find(&self, plugin: &PluginType) -> Result<Program, PluginError> {
        Program::find(plugin, self.folders.iter().map(PathBuf::as_path))?.ok_or_else(|| PluginError::NotFound {
            plugin: plugin.clone(),
            folders: self.folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Asks a plugin, and says what it printed.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<Vec<u8>, PluginError> {
        let (mut names, mut pairs) = ([OsStr::new(""); 3], String::new());
        if let Some(endpoint) = request.endpoint {
            let netns = endpoint.netns.as_deref().map_or(OsStr::new(""), Path::as_os_str);
            names = [endpoint.container.as_str().as_ref(), endpoint.ifname.as_str().as_ref(), netns];
            pairs = args(endpoint);
        }
        let command = request.verb.as_str();
        let environment = environment(command, names, &pairs, &self.path);
        self.execute(&request.plugin.kind, command, environment, &request.config())
    }

    pub(crate) fn execute(
        &self,
        plugin: &PluginType,
        command: &'static str,
        environment: [(&str, &OsStr); 6],
        config: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        let program = self.find(plugin)?;
        let stderr = match self.stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Capture => Stdio::piped(),
        };
        let output = program.execute(environment, config, stderr).map_err(|error| not_run(plugin, &program, error))?;
        outcome::printed(plugin, command, output)
    }

    /// The result recorded for an attachment, in that version.
    pub(crate) fn recorded_result(
        &self,
        attachment: &Attachment,
        version: SpecVersion,
    ) -> Result<Option<Value>, Error> {
        let Some(attached) = self.cache.read(attachment)? else { return Ok(None) };
        let result = outcome::in_version(&attached.result, version);
        result.map(Some).map_err(|source| Error::Result { attachment: attachment.clone(), source: source.into() })
    }
}

/// ADD and CHECK look into the namespace.
pub(crate) fn require_netns(network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
    if endpoint.netns.is_none() {
        return Err(Error::NoNetns { attachment: endpoint.on(network.name()) });
    }
    Ok(())
}

fn not_run(plugin: &PluginType, program: &Program, source: io::Error) -> PluginError {
    let (plugin, path) = (plugin.clone(), program.path().to_owned());
    match source.kind() {
        ErrorKind::ExecutableFileBusy => PluginError::Busy { plugin, path },
        _ => PluginError::NotRun { plugin, path, source },
    }
}
