//! The cache of what is attached, which all runtimes with libcni share: `/var/lib/cni/results`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use cni::{Attachment, ContainerId, NetworkName};
use files::Folder;

use crate::endpoint::Attached;
use crate::record::{self, Unreadable};

/// The most that a record may have, in bytes: one with every port of a host published has 6 MiB.
const LIMIT: usize = 16 << 20;

/// A folder with a record of each attachment, as libcni keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: Folder,
}

/// What is recorded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cached {
    /// In the order of the files' names.
    pub attached: Vec<Attached>,
    /// The files that are no records, or not to be read.
    pub broken: Vec<CacheError>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields that have no line of their own are what their names say")]
pub enum CacheError {
    /// The file system's refusal.
    #[error("{action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// What is there is no record.
    #[error("{} is no record of an attachment: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    /// The names of two attachments can make the same file name: `a-b` and `c`, `a` and `b-c`.
    #[error("{} is the record of {other}: detach that first, or choose another name", path.display())]
    Taken { path: PathBuf, other: Box<Attachment> },
}

impl CacheError {
    /// The file, or the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        let (Self::File { path, .. } | Self::Broken { path, .. } | Self::Taken { path, .. }) = self;
        path
    }
}

/// Where libcni has it.
impl Default for Cache {
    fn default() -> Self {
        Self::new("/var/lib/cni")
    }
}

impl Cache {
    /// The cache in that folder's `results`.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: Folder::new(folder.as_ref().join("results"), LIMIT) }
    }

    /// Where an attachment's record is, if it has one.
    #[must_use]
    pub fn path_of(&self, attachment: &Attachment) -> PathBuf {
        self.folder.path_of(&name_of(attachment))
    }

    /// What is recorded of an attachment; `None` if nothing is. One of libcni before 0.8 has a result only.
    ///
    /// # Errors
    /// It cannot be read, is no record, or is another attachment's.
    pub fn read(&self, attachment: &Attachment) -> Result<Option<Attached>, CacheError> {
        let name = name_of(attachment);
        let bytes = self.folder.read(&name).map_err(|error| self.failed("read", &name, error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let attached = match record::read(&bytes) {
            Err(Unreadable::Legacy) => record::read_legacy(&bytes, attachment),
            attached => attached,
        };
        let attached = attached.map_err(|reason| self.broken(&name, &reason.to_string()))?;
        let other = attached.attachment();
        if other != *attachment {
            return Err(CacheError::Taken { path: self.folder.path_of(&name), other: other.into() });
        }
        Ok(Some(attached))
    }

    /// Whether there is a file where an attachment's record is.
    #[must_use]
    pub fn has(&self, attachment: &Attachment) -> bool {
        self.path_of(attachment).symlink_metadata().is_ok()
    }

    /// Whether an attachment can be recorded: what is there now may be its own from before, or broken, but not another's.
    pub(crate) fn admit(&self, attachment: &Attachment) -> Result<(), CacheError> {
        match self.read(attachment) {
            Ok(_) | Err(CacheError::Broken { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Records an attachment, whole or not at all, where only root can read it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, attached: &Attached) -> Result<(), CacheError> {
        let name = name_of(&attached.attachment());
        let written = record::write(attached).map_err(io::Error::from);
        let written = written.and_then(|bytes| self.folder.write(&name, &bytes));
        written.map_err(|error| self.failed("write", &name, error))
    }

    /// Removes an attachment's record; one that is missing is removed already, and another's stays.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<(), CacheError> {
        if let Err(CacheError::Taken { .. }) = self.read(attachment) {
            return Ok(());
        }
        let name = name_of(attachment);
        self.folder.remove(&name).map_err(|error| self.failed("remove", &name, error))
    }

    /// What is attached, by all runtimes.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list(&self) -> Result<Cached, CacheError> {
        Ok(self.matching(|_| true, |_| true)?.collect())
    }

    /// What is attached to a network.
    ///
    /// # Errors
    /// As [`Cache::list`].
    pub fn of_network(&self, network: &NetworkName) -> Result<Cached, CacheError> {
        Ok(self.each_of_network(network)?.collect())
    }

    /// The same one after the other, for who does not need all: no more records are read.
    ///
    /// # Errors
    /// As [`Cache::list`].
    pub fn each_of_network(
        &self,
        network: &NetworkName,
    ) -> Result<impl Iterator<Item = Result<Attached, CacheError>> + use<'_>, CacheError> {
        let (beginning, network) = (format!("{network}-"), network.clone());
        self.matching(move |name| name.starts_with(&beginning), move |attached| attached.network == network)
    }

    /// Where a container is attached.
    ///
    /// # Errors
    /// As [`Cache::list`].
    pub fn of_container(&self, container: &ContainerId) -> Result<Cached, CacheError> {
        let middle = format!("-{container}-");
        let is_it = |attached: &Attached| attached.endpoint.container == *container;
        Ok(self.matching(|name| name.contains(&middle), is_it)?.collect())
    }

    /// A file is read only if its name may be the right one.
    fn matching<N: Fn(&str) -> bool, A: Fn(&Attached) -> bool>(
        &self,
        has_name: N,
        is_it: A,
    ) -> Result<impl Iterator<Item = Result<Attached, CacheError>> + use<'_, N, A>, CacheError> {
        let records = self.names_that(has_name)?.into_iter().filter_map(|name| self.read_named(&name).transpose());
        Ok(records.filter(move |record| record.as_ref().map_or(true, &is_it)))
    }

    /// What the records' files are called, for who reads them by [`Cache::read_named`], several at once perhaps.
    ///
    /// # Errors
    /// As [`Cache::list`].
    pub fn names(&self) -> Result<Vec<String>, CacheError> {
        self.names_that(|_| true)
    }

    /// In order. What begins with a dot is not finished, or not a record: no network's name does.
    fn names_that(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, CacheError> {
        let names = self.folder.names().map_err(|source| CacheError::File {
            action: "list",
            path: self.folder.path().to_owned(),
            source,
        })?;
        let text = names.iter().filter_map(|name| OsStr::to_str(name));
        let text = text.filter(|name| !name.starts_with('.') && is_wanted(name));
        let mut names: Vec<_> = text.map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The folder that the records are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the record of that file name says; `None` if there is no such file.
    ///
    /// # Errors
    /// It cannot be read, is no record, or is called as another one.
    pub fn read_named(&self, name: &str) -> Result<Option<Attached>, CacheError> {
        let bytes = self.folder.read(name).map_err(|error| self.failed("read", name, error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let attached = record::read(&bytes).map_err(|reason| self.broken(name, &reason.to_string()))?;
        let its_name = name_of(&attached.attachment());
        if its_name != name {
            return Err(self.broken(name, &format!("by what it says it had to be called {its_name}")));
        }
        Ok(Some(attached))
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> CacheError {
        CacheError::File { action, path: self.folder.path_of(name), source }
    }

    fn broken(&self, name: &str, reason: &str) -> CacheError {
        CacheError::Broken { path: self.folder.path_of(name), reason: reason.to_owned() }
    }
}

impl FromIterator<Result<Attached, CacheError>> for Cached {
    fn from_iter<I: IntoIterator<Item = Result<Attached, CacheError>>>(records: I) -> Self {
        let (mut attached, mut broken) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                Ok(record) => attached.push(record),
                Err(error) => broken.push(error),
            }
        }
        Self { attached, broken }
    }
}

/// None of the three names can hold a slash or begin with a dot.
fn name_of(attachment: &Attachment) -> String {
    format!("{}-{}-{}", attachment.network, attachment.container, attachment.ifname)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
