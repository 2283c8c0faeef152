//! The leases as files: the daemon can be killed at any time, and the next one takes them up.
//!
//! They are below /run, because they end with the namespaces that they are about: at the next start of the host. Each
//! daemon, told by its socket, has a folder of its own, `/run/ferrocni/dhcp/run:cni:dhcp.sock`, and in it a file for each
//! lease, `<network>:<container>:<interface>:<family>`. None of these words can hold a colon.

use std::fmt;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cni_plugin::Attachment;
use files::Folder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::lease::protocol;
use crate::protocol::MAX_LINE;
use ip::Family;

const ROOT: &str = "/run/ferrocni/dhcp";
/// No lease's file can have this name, because it has no colons.
const LOCK: &str = "lock";
/// The most that a lease's file has, in bytes: what a plugin has said, and a message from a server.
const MAX: usize = 2 * MAX_LINE;

/// Identifies a lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The attachment that holds it.
    pub(crate) attachment: Attachment,
    /// The family: an attachment has one lease of each at most.
    pub(crate) family: Family,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.attachment, protocol(self.family))
    }
}

impl Key {
    fn file_name(&self) -> String {
        format!("{}:{}", files::name_of(&self.attachment), self.family)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let (attachment, family) = name.rsplit_once(':')?;
        let family = Family::ALL.into_iter().find(|known| known.as_str() == family)?;
        Some(Self { attachment: files::attachment_of(attachment)?, family })
    }
}

/// The folder of one daemon.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: Folder,
}

impl Store {
    /// That of the daemon on `socket`, where the host's files are below `prefix`.
    #[must_use]
    pub(crate) fn of(socket: &Path, prefix: &str) -> Self {
        let name = socket.to_string_lossy().trim_start_matches('/').replace('/', ":");
        Self { folder: Folder::new(PathBuf::from(format!("{prefix}{ROOT}/{name}")), MAX) }
    }

    /// Makes the folder and keeps every other daemon out of it for as long as the file lives.
    ///
    /// # Errors
    /// [`Error::Locked`] if there is one already.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let folder = self.folder.path();
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
        let path = self.folder.path_of(LOCK);
        let file = files::open_lock(&path).map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path }),
            Err(TryLockError::Error(source)) => Err(Error::Store { doing: "lock", path, source }),
        }
    }

    /// Writes a lease, whole or not at all.
    ///
    /// # Errors
    /// That of the file system; what was there before is there still.
    pub(crate) fn save(&self, key: &Key, record: &impl Serialize) -> Result<(), Error> {
        let name = key.file_name();
        let write = || self.folder.write(&name, &serde_json::to_vec(record)?);
        write().map_err(failed("write", &self.folder.path_of(&name)))
    }

    /// Forgets a lease; one that is not there is forgotten already.
    ///
    /// # Errors
    /// That of the file system.
    pub(crate) fn remove(&self, key: &Key) -> Result<(), Error> {
        let name = key.file_name();
        match self.folder.remove(&name) {
            // A name that is too long for a file was too long for an ADD.
            Err(error) if error.kind() == ErrorKind::InvalidFilename => Ok(()),
            outcome => outcome.map_err(failed("remove", &self.folder.path_of(&name))),
        }
    }

    /// Forgets all leases of an attachment.
    ///
    /// # Errors
    /// That of the file system.
    pub(crate) fn remove_all(&self, attachment: &Attachment) -> Result<(), Error> {
        for family in Family::ALL {
            self.remove(&Key { attachment: attachment.clone(), family })?;
        }
        Ok(())
    }

    /// Which leases there are.
    ///
    /// # Errors
    /// That of the file system; no folder is an empty one.
    pub(crate) fn keys(&self) -> Result<Vec<Key>, Error> {
        let names = self.folder.names().map_err(failed("list", self.folder.path()))?;
        Ok(names.iter().filter_map(|name| Key::from_file_name(name.to_str()?)).collect())
    }

    /// Removes what daemons that were killed had not finished. Only who has the folder locked may do it.
    ///
    /// # Errors
    /// That of the file system.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        let is_ours = |name: &str| Key::from_file_name(name).is_some();
        self.folder.sweep(is_ours).map_err(failed("remove unfinished files in", self.folder.path()))
    }

    /// Reads a lease; `None` if there is none, or none that this release could read.
    ///
    /// # Errors
    /// That of the file system.
    pub(crate) fn load<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        let name = key.file_name();
        match self.folder.read(&name) {
            Ok(content) => Ok(content.and_then(|bytes| serde_json::from_slice(&bytes).ok())),
            Err(error) if files::is_not_regular(&error) => Ok(None),
            Err(error) => Err(failed("read", &self.folder.path_of(&name))(error)),
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Store { doing, path: path.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use cni_plugin::{ContainerId, IfName, NetworkName};

    use super::*;

    fn key(container: &str, family: Family) -> Key {
        let attachment = Attachment {
            network: NetworkName::new("lan").unwrap(),
            container: ContainerId::new(container).unwrap(),
            ifname: IfName::new("eth0.5").unwrap(),
        };
        Key { attachment, family }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::of(Path::new("/run/cni/dhcp.sock"), folder.path().to_str().unwrap());
        (folder, store)
    }

    #[test]
    fn each_socket_has_a_folder_of_its_own() {
        let dir = |socket: &str, prefix| Store::of(Path::new(socket), prefix).folder.path().to_owned();
        assert_eq!(dir("/run/cni/dhcp.sock", ""), Path::new("/run/ferrocni/dhcp/run:cni:dhcp.sock"));
        assert_eq!(dir("/run/cni/other.sock", "/host"), Path::new("/host/run/ferrocni/dhcp/run:cni:other.sock"));
    }

    #[test]
    fn what_was_saved_is_loaded_and_removed() {
        let (_folder, store) = store();
        assert_eq!(store.keys().unwrap(), []);
        let _lock = store.lock().unwrap();
        let (v4, v6) = (key("c1", Family::V4), key("c1", Family::V6));
        store.save(&v4, &1).unwrap();
        store.save(&v4, &2).unwrap();
        store.save(&v6, &3).unwrap();
        let mut keys = store.keys().unwrap();
        keys.sort();
        assert_eq!(keys, [v4.clone(), v6.clone()]);
        assert_eq!(store.load::<u8>(&v4).unwrap(), Some(2));
        assert_eq!(store.load::<String>(&v4).unwrap(), None, "not what was written");
        assert_eq!(store.load::<u8>(&key("c2", Family::V4)).unwrap(), None);
        store.remove_all(&v4.attachment).unwrap();
        store.remove_all(&v4.attachment).unwrap();
        assert_eq!(store.keys().unwrap(), []);
    }

    #[test]
    fn one_daemon_at_a_time_has_the_folder() {
        let (_folder, store) = store();
        let lock = store.lock().unwrap();
        assert!(matches!(store.lock(), Err(Error::Locked { .. })));
        drop(lock);
        store.lock().unwrap();
    }

    #[test]
    fn what_a_killed_daemon_had_not_finished_is_swept_away() {
        let (_folder, store) = store();
        let _lock = store.lock().unwrap();
        let key = key("c1", Family::V4);
        store.save(&key, &1).unwrap();
        for name in [&format!(".{}", key.file_name()), ".somebody's", "lan:c1:eth0"] {
            fs::write(store.folder.path_of(name), "half").unwrap();
        }
        store.sweep().unwrap();
        let mut names = store.folder.names().unwrap();
        names.sort();
        assert_eq!(names, [".somebody's", "lan:c1:eth0", key.file_name().as_str(), "lock"]);
    }

    #[test]
    fn a_name_too_long_for_a_file_is_not_there() {
        let (_folder, store) = store();
        let _lock = store.lock().unwrap();
        let long = key(&"c".repeat(300), Family::V4);
        assert!(matches!(store.save(&long, &1), Err(Error::Store { doing: "write", .. })));
        store.remove(&long).unwrap();
        assert_eq!(store.folder.names().unwrap(), ["lock"]);
    }

    #[test]
    fn other_files_are_no_leases() {
        for name in
            ["lock", ".lan:c1:eth0:ipv4", "lan:c1:eth0", "lan:c1:eth0:ipv5", "lan:c1:eth0:ipv4:x", "lan:-c:eth0:ipv4"]
        {
            assert_eq!(Key::from_file_name(name), None, "{name}");
        }
    }
}
