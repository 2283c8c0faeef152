//! The folder of networks, changed by one at a time.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cni::NetworkName;
use files::Folder;

/// The folder, locked: subnets that were free when it was locked are so until it is let go.
#[derive(Debug)]
pub(crate) struct Registry {
    folder: PathBuf,
    _lock: File,
}

/// There is a network of that name.
#[derive(Debug, thiserror::Error)]
#[error("network {0} exists already: `ferrocni network rm {0}` removes it")]
pub(crate) struct Exists(pub(crate) String);

/// A file that could not be written or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error(transparent)]
    Exists(#[from] Exists),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Registry {
    /// Makes the folder if it is missing, and waits until no other process changes networks.
    pub(crate) fn lock(folder: &Path, state: &Path) -> Result<Self, FileError> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(FileError::io("create", folder))?;
        let lock = Folder::new(state.to_owned(), 0).lock().map_err(FileError::io("lock", state))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Where the network of that name goes.
    pub(crate) fn path_of(&self, name: &NetworkName) -> PathBuf {
        self.folder.join(format!("ferrocni-{name}.conflist"))
    }

    /// Writes a network, whole or not at all; it does not replace another's. After a loss of power it is there or not.
    pub(crate) fn write(&self, name: &NetworkName, text: &str) -> Result<PathBuf, FileError> {
        let path = self.path_of(name);
        // No runtime takes a file of this name for a network.
        let unfinished = self.folder.join(format!(".ferrocni-{name}.new"));
        let written = write_through(&unfinished, text).map_err(FileError::io("write", &unfinished));
        let linked = written.and_then(|()| match fs::hard_link(&unfinished, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Exists(name.to_string()).into()),
            outcome => outcome.map_err(FileError::io("create", &path)),
        });
        // Where it stays, the next one of that name takes it away.
        let _ = files::remove(&unfinished);
        linked?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(FileError::io("sync", &self.folder))?;
        Ok(path)
    }

    /// Removes a network's file.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), FileError> {
        files::remove(path).map_err(FileError::io("remove", path))
    }
}

/// Readable by everybody, as other programs' networks are: a program without privileges may list them.
fn write_through(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    files::remove(path)?;
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, state) = (dir.path().join("net.d"), dir.path().join("run"));
        let registry = Registry::lock(&folder, &state).unwrap();
        let name = NetworkName::new("web").unwrap();
        let path = registry.write(&name, "one").unwrap();
        assert!(matches!(registry.write(&name, "two"), Err(FileError::Exists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing unfinished is left");
        registry.remove(&path).unwrap();
        registry.remove(&path).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
