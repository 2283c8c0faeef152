//! What the program of a container in the background says: the file `log` in the container's folder, and `log.old`, which was `log`
//! until that was full. They go with the container.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The most that each of the two files has, in bytes: /run is memory.
const LIMIT: u64 = 1 << 20;
const NAME: &str = "log";
const OLD: &str = "log.old";

/// The log, in the hands of the supervisor.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: folder.to_owned(), file: new(&folder.join(NAME))?, size: 0 })
    }

    /// Takes what comes, until nothing does any more. What cannot be written is lost, because the program would wait for us.
    pub(crate) fn keep(mut self, mut from: impl Read) {
        let mut buffer = [0; 16 << 10];
        loop {
            match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => drop(self.write(&buffer[..length])),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size + bytes.len() as u64 > LIMIT {
            fs::rename(self.folder.join(NAME), self.folder.join(OLD))?;
            (self.file, self.size) = (new(&self.folder.join(NAME))?, 0);
        }
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn new(path: &Path) -> io::Result<File> {
    File::options().append(true).create_new(true).mode(0o600).open(path)
}

/// A log that is read from its beginning on.
#[derive(Debug)]
pub(crate) struct Reading {
    folder: PathBuf,
    files: Vec<File>,
}

impl Reading {
    /// `None` if the container has no log.
    pub(super) fn start(folder: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open(&folder.join(NAME))? else { return Ok(None) };
        // Should it become the old one right now, it is not read twice.
        let old = open(&folder.join(OLD))?.filter(|old| !is_same(old, &file));
        Ok(Some(Self { folder: folder.to_owned(), files: old.into_iter().chain([file]).collect() }))
    }

    /// Everything that was written since the last time.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            for file in &mut self.files {
                file.read_to_end(&mut said)?;
            }
            let Some(newest) = self.files.pop() else { return Ok(said) };
            match open(&self.folder.join(NAME))?.filter(|file| !is_same(file, &newest)) {
                // What was written before it was full may not have been read.
                Some(next) => self.files = vec![newest, next],
                None => {
                    self.files = vec![newest];
                    return Ok(said);
                }
            }
        }
    }

    /// Whether the container is there, so that there may be more.
    pub(crate) fn may_go_on(&self) -> bool {
        self.folder.join(NAME).exists()
    }

    /// Where it can be watched.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

fn is_same(one: &File, other: &File) -> bool {
    let inode = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
    inode(one) == inode(other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_it_is_kept_and_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path()).unwrap();
        let mut reading = Reading::start(folder.path()).unwrap().unwrap();
        log.write(b"one\n").unwrap();
        assert_eq!(reading.read().unwrap(), b"one\n");
        assert_eq!(reading.read().unwrap(), b"");
        let large = vec![b'x'; usize::try_from(LIMIT).unwrap() - 4];
        log.write(&large).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(reading.read().unwrap(), [&large[..], b"two\n"].concat());
        log.write(b"three\n").unwrap();
        assert_eq!(reading.read().unwrap(), b"three\n");
        let whole = Reading::start(folder.path()).unwrap().unwrap().read().unwrap();
        assert_eq!(whole.len(), large.len() + "one\ntwo\nthree\n".len());
        for _ in 0..5 {
            log.write(&large).unwrap();
        }
        let kept = |name: &str| folder.path().join(name).metadata().unwrap().len();
        assert!(kept(NAME) <= LIMIT && kept(OLD) <= LIMIT);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_comes_is_taken_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        Log::create(folder.path()).unwrap().keep(&b"a\nb"[..]);
        let mut reading = Reading::start(folder.path()).unwrap().unwrap();
        assert!(reading.read().unwrap() == b"a\nb" && reading.may_go_on());
        assert!(Reading::start(Path::new("/nowhere")).unwrap().is_none());
    }
}
