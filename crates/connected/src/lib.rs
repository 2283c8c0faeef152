//! Records of the connections that `ferrocni network connect` has added to running containers.
//!
//! A container's runtime knows nothing of them, so that neither its DEL nor its GC can be relied on: its GC lists only what it has
//! attached itself, and would remove the others. The record says in which namespace a connection is. As long as that exists the
//! plugins' GC keeps the connection ([`Records::living`]), and after that the command removes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cni::{Attachment, NetworkName};
use files::Folder;
use netlink::{Namespace, Netns};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where the records of connections are.
pub const FOLDER: &str = "/run/ferrocni/connected";

/// The file whose bytes are locked. No record's name is without a colon.
const TURNS: &str = "lock";

/// The most that a record may have, in bytes: a network's configuration has at most 1 MiB.
const LIMIT: usize = 4 << 20;

/// Everything that is needed to remove a connection, also one that was never completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The container's network namespace.
    pub namespace: Namespace,
    /// `CNI_ARGS` of the ADD.
    #[serde(default)]
    pub args: Vec<(String, String)>,
    /// Capability arguments of the ADD: addresses, aliases.
    #[serde(default)]
    pub capability_args: Map<String, Value>,
    /// The list of plugins that ADD was called for.
    pub config: Value,
}

/// A folder of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(Folder);

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum Error {
    /// The file system's refusal.
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// What is there is no record.
    #[error("{} is no record of a connection: remove it if no container needs it", path.display())]
    Broken { path: PathBuf, source: serde_json::Error },
    /// Whether the namespace of a connection exists cannot be told.
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
}

impl Error {
    /// Whether only a user with more privileges gets further.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Those of connections.
impl Default for Records {
    fn default() -> Self {
        Self::new(FOLDER)
    }
}

impl Records {
    /// The folder at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Folder::new(path.into(), LIMIT))
    }

    /// Waits until nobody has the folder for himself, and keeps it from becoming so for as long as the value lives. Makes the folder
    /// if it is missing.
    ///
    /// # Errors
    /// That of the file system.
    pub fn share(&self) -> Result<File, Error> {
        self.0.lock_shared().map_err(|source| failed("lock", self.0.path(), source))
    }

    /// Waits until nobody else has a turn at that namespace, and keeps others waiting for as long as the value lives. Makes the folder
    /// if it is missing.
    ///
    /// What is locked is a byte of one file, the one whose number is the namespace's inode: no file would be gone with the namespace,
    /// and the namespace itself is for plugins to lock, which are called meanwhile.
    ///
    /// # Errors
    /// That of the file system.
    pub fn take_turn(&self, netns: &Netns) -> Result<File, Error> {
        let path = self.0.path_of(TURNS);
        let taken = self.0.lock_shared().and_then(|_| files::open_lock(&path)).and_then(|file| {
            #[allow(clippy::cast_possible_truncation, reason = "constants below ten")]
            let byte = libc::flock {
                l_type: libc::F_WRLCK as libc::c_short,
                l_whence: libc::SEEK_SET as libc::c_short,
                l_start: netns.id().inode.cast_signed(),
                l_len: 1,
                l_pid: 0,
            };
            loop {
                match fcntl(&file, FcntlArg::F_OFD_SETLKW(&byte)) {
                    Err(Errno::EINTR) => {}
                    outcome => return outcome.map(|_| file).map_err(io::Error::from),
                }
            }
        });
        taken.map_err(|source| failed("lock", &path, source))
    }

    /// The folder for oneself, for as long as the value lives; `None` if there is no folder, or somebody shares it.
    ///
    /// # Errors
    /// That of the file system.
    pub fn claim(&self) -> Result<Option<File>, Error> {
        self.0.try_lock_existing().map_err(|source| failed("lock", self.0.path(), source))
    }

    /// All records.
    ///
    /// # Errors
    /// The folder cannot be listed, or a record not be read.
    pub fn list(&self) -> Result<Vec<(Attachment, Record)>, Error> {
        self.matching(|_| true)
    }

    /// Where the connections of all records are, and nothing else of them.
    ///
    /// # Errors
    /// As [`Records::list`].
    pub fn namespaces(&self) -> Result<Vec<(Attachment, Namespace)>, Error> {
        self.located(|_| true)
    }

    /// What is recorded of a connection; `None` if nothing is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, attachment: &Attachment) -> Result<Option<Record>, Error> {
        self.read_as(attachment)
    }

    /// Those of one network's connections whose namespaces exist.
    ///
    /// # Errors
    /// As [`Records::list`]; also if it cannot be told whether a namespace exists.
    pub fn living(&self, network: &NetworkName) -> Result<Vec<Attachment>, Error> {
        let mut living = Vec::new();
        for (attachment, namespace) in self.located(|attachment| attachment.network == *network)? {
            if namespace.exists()? {
                living.push(attachment);
            }
        }
        Ok(living)
    }

    /// Records a connection, replacing what was recorded of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, attachment: &Attachment, record: &Record) -> Result<(), Error> {
        let name = files::name_of(attachment);
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|bytes| self.0.write(&name, &bytes));
        written.map_err(|source| failed("write", &self.0.path_of(&name), source))
    }

    /// Removes a connection's record; one that is missing is removed already.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<(), Error> {
        let name = files::name_of(attachment);
        self.0.remove(&name).map_err(|source| failed("remove", &self.0.path_of(&name), source))
    }

    /// Removes what writers that were killed have left unfinished. Only who has [claimed](Records::claim) the folder may do so.
    ///
    /// # Errors
    /// That of the file system.
    pub fn sweep(&self) -> Result<(), Error> {
        self.0.sweep(|_| true).map_err(|source| failed("sweep", self.0.path(), source))
    }

    /// The rest of each record is not taken apart.
    fn located(&self, is_wanted: impl Fn(&Attachment) -> bool) -> Result<Vec<(Attachment, Namespace)>, Error> {
        #[derive(Deserialize)]
        struct Located {
            namespace: Namespace,
        }
        let found = self.matching(is_wanted)?;
        Ok(found.into_iter().map(|(attachment, Located { namespace })| (attachment, namespace)).collect())
    }

    /// A record that goes while the others are read is none.
    fn matching<R: DeserializeOwned>(
        &self,
        is_wanted: impl Fn(&Attachment) -> bool,
    ) -> Result<Vec<(Attachment, R)>, Error> {
        let names = self.0.names().map_err(|source| failed("list", self.0.path(), source))?;
        let attachments = names.iter().filter_map(|name| files::attachment_of(name.to_str()?)).filter(is_wanted);
        attachments
            .filter_map(|attachment| self.read_as(&attachment).transpose().map(|read| Ok((attachment, read?))))
            .collect()
    }

    fn read_as<R: DeserializeOwned>(&self, attachment: &Attachment) -> Result<Option<R>, Error> {
        let name = files::name_of(attachment);
        let path = self.0.path_of(&name);
        let Some(bytes) = self.0.read(&name).map_err(|source| failed("read", &path, source))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Broken { path, source })
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
