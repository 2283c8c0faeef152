//! A folder of small files, each a record under a name of its own.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cni::Attachment;

/// Prefix of a record's name until the record is written completely. No network's name begins with it.
const UNFINISHED: &str = ".";

/// The name of an attachment's record. None of the three words can contain a colon or a slash.
#[must_use]
pub fn name_of(attachment: &Attachment) -> String {
    format!("{}:{}:{}", attachment.network, attachment.container, attachment.ifname)
}

/// The attachment that a record of this name belongs to; `None` if the name is not of that form.
#[must_use]
pub fn attachment_of(name: &str) -> Option<Attachment> {
    let words: Vec<_> = name.split(':').collect();
    let [network, container, ifname] = words[..] else { return None };
    Attachment::new(network, container, ifname).ok()
}

/// A folder of records, created with mode 0700, because other users need not know what a container has.
///
/// A record has one writer at a time: its writers take turns by [`Folder::lock`], or the protocol keeps them apart, as it does
/// the verbs of one attachment. Nothing is synced to the disk: records are about state that a reboot ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    limit: usize,
}

impl Folder {
    /// The folder at `path`, which need not exist yet. Records longer than `limit` bytes are neither read nor written.
    #[must_use]
    pub fn new(path: PathBuf, limit: usize) -> Self {
        Self { path, limit }
    }

    /// The path given to [`Folder::new`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the record `name`, which need not exist.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of everything in the folder, records or not; empty if the folder does not exist.
    ///
    /// # Errors
    /// Any error while reading the folder, so that an incomplete list is never taken for a complete one.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        match fs::read_dir(&self.path) {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name())).collect(),
        }
    }

    /// A record's content; `None` if it does not exist.
    ///
    /// # Errors
    /// As for [`crate::read`].
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match crate::read(&self.path_of(name), self.limit) {
            Err(error) if is_absent(&error) => Ok(None),
            content => content.map(Some),
        }
    }

    /// Writes a record atomically. The folder is created if it is missing.
    ///
    /// # Errors
    /// I/O errors; [`ErrorKind::FileTooLarge`] above the folder's limit. The earlier record is kept in both cases.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if content.len() > self.limit {
            return Err(io::Error::from(ErrorKind::FileTooLarge));
        }
        self.in_folder(|| crate::replace(&self.path_of(name), &self.unfinished(name), content))
    }

    /// For STATUS: whether a record could be written. Creates a file and removes it again.
    ///
    /// # Errors
    /// That of the file system.
    pub fn probe(&self) -> io::Result<()> {
        let path = self.unfinished(&format!("status.{}", std::process::id()));
        self.in_folder(|| crate::create(&path, b""))?;
        crate::remove(&path)
    }

    /// Removes a record, and the unfinished one of a writer that was killed. Succeeds if there is none.
    ///
    /// # Errors
    /// That of the file system.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        for path in [self.unfinished(name), self.path_of(name)] {
            match crate::remove(&path) {
                Err(error) if is_absent(&error) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Makes the folder if it is missing, waits until no other process has it locked, and keeps it locked for as long as the
    /// value lives.
    ///
    /// # Errors
    /// That of the file system.
    pub fn lock(&self) -> io::Result<File> {
        self.in_folder(|| crate::wait_for_lock(File::open(&self.path)?))
    }

    /// The same, but others may have it locked like this at the same time.
    ///
    /// # Errors
    /// That of the file system.
    pub fn lock_shared(&self) -> io::Result<File> {
        self.in_folder(|| crate::wait_for(File::open(&self.path)?, File::lock_shared))
    }

    /// The same as [`Folder::lock`], but `None` if there is no folder.
    ///
    /// # Errors
    /// That of the file system.
    pub fn lock_existing(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Err(error) if is_absent(&error) => Ok(None),
            folder => crate::wait_for_lock(folder?).map(Some),
        }
    }

    /// The same, but `None` also if another process has it locked.
    ///
    /// # Errors
    /// That of the file system.
    pub fn try_lock_existing(&self) -> io::Result<Option<File>> {
        let folder = match File::open(&self.path) {
            Err(error) if is_absent(&error) => return Ok(None),
            folder => folder?,
        };
        match folder.try_lock() {
            Ok(()) => Ok(Some(folder)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes unfinished records, left by writers that were killed, whose names satisfy `is_ours`.
    ///
    /// # Errors
    /// That of the file system.
    pub fn sweep(&self, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
        for name in self.names()?.iter().filter_map(|name| name.to_str()) {
            if name.strip_prefix(UNFINISHED).is_some_and(&is_ours) {
                crate::remove(&self.path_of(name))?;
            }
        }
        Ok(())
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.path_of(&format!("{UNFINISHED}{name}"))
    }

    /// Runs the operation. If the folder is missing, creates it and runs the operation again.
    fn in_folder<T>(&self, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match make() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
                make()
            }
            outcome => outcome,
        }
    }
}

/// Whether a record does not exist. If the folder's path leads through a file, no record was ever written, and without this
/// case every DEL would fail.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Folder) -> Vec<OsString> {
        let mut names = folder.names().unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_record_is_written_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("records"), 3);
        assert_eq!(folder.names().unwrap(), Vec::<OsString>::new(), "no folder");
        assert_eq!(folder.read("a").unwrap(), None);
        folder.remove("a").unwrap();
        folder.write("a", b"old").unwrap();
        folder.write("a", b"new").unwrap();
        assert_eq!(folder.write("a", b"long").unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(folder.read("a").unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(names(&folder), ["a"]);
        for _ in 0..2 {
            folder.remove("a").unwrap();
        }
        assert_eq!(folder.read("a").unwrap(), None);
    }

    #[test]
    fn only_its_owner_may_look_into_a_folder_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("a/b"), 3);
        folder.probe().unwrap();
        assert_eq!(folder.names().unwrap(), Vec::<OsString>::new());
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn below_a_file_there_is_no_record_and_none_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let folder = Folder::new(dir.path().join("file/records"), 3);
        assert_eq!(folder.names().unwrap(), Vec::<OsString>::new());
        assert_eq!(folder.read("a").unwrap(), None);
        folder.remove("a").unwrap();
        assert!(folder.lock_existing().unwrap().is_none());
        assert!(folder.write("a", b"new").is_err());
        assert!(folder.probe().is_err());
    }

    #[test]
    fn one_at_a_time_has_the_folder_locked() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("records"), 3);
        assert!(folder.lock_existing().unwrap().is_none(), "no folder");
        let lock = folder.lock().unwrap();
        let other = File::open(folder.path()).unwrap();
        assert!(other.try_lock().is_err());
        drop(lock);
        other.try_lock().unwrap();
    }

    #[test]
    fn with_a_record_goes_what_a_killed_writer_had_not_finished_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), 3);
        fs::write(folder.path_of(".a"), "half").unwrap();
        folder.remove("a").unwrap();
        assert_eq!(names(&folder), Vec::<OsString>::new());
    }

    #[test]
    fn a_link_in_a_record_s_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), 100);
        folder.write("victim", b"precious").unwrap();
        for name in ["a", ".a"] {
            symlink("victim", folder.path_of(name)).unwrap();
        }
        assert!(crate::is_not_regular(&folder.read("a").unwrap_err()));
        folder.write("a", b"new").unwrap();
        assert_eq!(folder.read("victim").unwrap().as_deref(), Some(&b"precious"[..]));
    }

    #[test]
    fn only_what_is_unfinished_and_ours_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), 100);
        for name in ["net:c1:eth0", ".net:c1:eth0", ".keep"] {
            fs::write(folder.path_of(name), "half").unwrap();
        }
        folder.sweep(|name| attachment_of(name).is_some()).unwrap();
        assert_eq!(names(&folder), [".keep", "net:c1:eth0"]);
    }

    #[test]
    fn a_record_s_name_says_whose_it_is() {
        let attachment = Attachment::new("net", "c1", "eth0.5").unwrap();
        assert_eq!(attachment_of(&name_of(&attachment)), Some(attachment));
        for name in ["lock", ".net:c1:eth0", "net:c1", "net:c1:eth0:x", "net:-c:eth0", "net:c1:.."] {
            assert_eq!(attachment_of(name), None, "{name}");
        }
    }
}
