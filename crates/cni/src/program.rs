//! Plugins are programs: found in the folders of `CNI_PATH`, and executed as the specification says ("Section 2: Execution
//! Protocol").

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::name::PluginType;

/// A plugin's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

/// Whether a plugin is there cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("look for plugin {kind} at {}", path.display())]
pub struct Unseen {
    kind: PluginType,
    path: PathBuf,
    source: io::Error,
}

impl Program {
    /// The first program of that name; `None` if there is none. Where one folder cannot be searched, another may have it.
    ///
    /// # Errors
    /// No folder has it, and one of them cannot be searched.
    pub fn find<'p>(kind: &PluginType, folders: impl IntoIterator<Item = &'p Path>) -> Result<Option<Self>, Unseen> {
        let mut unseen = None;
        for folder in folders {
            let path = folder.join(kind.as_str());
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => return Ok(Some(Self { path })),
                Err(source) if !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    unseen = Some(Unseen { kind: kind.clone(), path, source });
                }
                _ => {}
            }
        }
        unseen.map_or(Ok(None), Err)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Executes it with a configuration on its standard input, and waits for its end. These variables are added to the
    /// environment of this process.
    ///
    /// # Errors
    /// It cannot be started ([`ErrorKind::ExecutableFileBusy`]: it is being written), or spoken with.
    pub fn execute(
        &self,
        environment: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
        config: &[u8],
        stderr: Stdio,
    ) -> io::Result<Output> {
        let mut child = Command::new(&self.path)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(config) {
                // It may have failed before reading everything; its answer says why.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        child.wait_with_output()
    }
}
