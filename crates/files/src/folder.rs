//! A folder of small files, each a record under a name of its own.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cni::Attachment;

/// With this begins the name of what becomes a record once it is whole. No network's name begins so.
const UNFINISHED: &str = ".";

/// How a record is called that belongs to an attachment. None of the three words can hold a colon or a slash.
#[must_use]
pub fn name_of(attachment: &Attachment) -> String {
    format!("{}:{}:{}", attachment.network, attachment.container, attachment.ifname)
}

/// Whose record has this name; `None` if no attachment's has.
#[must_use]
pub fn attachment_of(name: &str) -> Option<Attachment> {
    let words: Vec<_> = name.split(':').collect();
    let [network, container, ifname] = words[..] else { return None };
    Attachment::new(network, container, ifname).ok()
}

/// A folder of records. One writer at a time: the caller has it locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    limit: usize,
}

impl Folder {
    /// The folder at `path`, whether it is there or not. No record in it is longer than `limit` bytes.
    #[must_use]
    pub fn new(path: PathBuf, limit: usize) -> Self {
        Self { path, limit }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a record is.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is there, under whatever name; nothing if there is no folder.
    ///
    /// # Errors
    /// That of the file system: a name that could not be read would be taken for none.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        match fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.file_name())).collect(),
        }
    }

    /// What a record says; `None` if there is none.
    ///
    /// # Errors
    /// As for [`crate::read`].
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match crate::read(&self.path_of(name), self.limit) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            content => content.map(Some),
        }
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// That of the file system; [`ErrorKind::FileTooLarge`] if it could not be read again. What was there before is there
    /// still.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if content.len() > self.limit {
            return Err(io::Error::from(ErrorKind::FileTooLarge));
        }
        crate::replace(&self.path_of(name), &self.path_of(&format!("{UNFINISHED}{name}")), content)
    }

    /// Removes a record; one that is missing is removed already.
    ///
    /// # Errors
    /// That of the file system.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        crate::remove(&self.path_of(name))
    }

    /// Removes what writers that were killed had not finished of records with a name that `is_ours`.
    ///
    /// # Errors
    /// That of the file system.
    pub fn sweep(&self, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
        for name in self.names()?.iter().filter_map(|name| name.to_str()) {
            if name.strip_prefix(UNFINISHED).is_some_and(&is_ours) {
                self.remove(name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

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
        fs::create_dir(folder.path()).unwrap();
        assert_eq!(folder.read("a").unwrap(), None);
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
