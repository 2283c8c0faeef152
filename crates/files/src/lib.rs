//! Files in folders that other users may write to.
//!
//! A folder that a configuration names (`dataDir`) may be on a volume that belongs to a tenant. In place of one of our
//! files there may be a symbolic link to any file of the host, a FIFO that blocks in open(2), or a file of any size.
//! So nothing here follows a symbolic link in a path's last component, blocks in open(2), accepts anything but a regular
//! file, or reads more than it was told to. Only [`ErrorKind::NotFound`] means that a file does not exist.
//!
//! A [`Folder`] holds records that are ours alone. Where the format is another's (host-local's reservations), the functions here
//! are what to build on.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! let folder = files::Folder::new("/run/ferrocni/example".into(), 1024);
//! let _locked = folder.lock()?;
//! folder.write("state", b"7")?;
//! assert_eq!(folder.read("state")?.as_deref(), Some(&b"7"[..]));
//! folder.remove("state")?;
//! # Ok(())
//! # }
//! ```

mod folder;

pub use folder::{Folder, attachment_of, name_of};

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

/// The path exists, but is not a regular file.
#[derive(Debug, thiserror::Error)]
#[error("it is not a regular file")]
struct NotRegular;

/// Whether an operation failed because the path is not a regular file but a symbolic link, a folder, a FIFO or a device.
#[must_use]
pub fn is_not_regular(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotRegular>)
}

/// Reads all of a file that is not longer than `limit` bytes.
///
/// # Errors
/// That of the file system; [`is_not_regular`]; [`ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_to_limit(open(OpenOptions::new().read(true), path, libc::O_NOFOLLOW)?, limit)
}

/// The same, but follows symbolic links: `/etc/resolv.conf` is one on many hosts.
///
/// # Errors
/// As for [`read`].
pub fn read_through_links(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_to_limit(open(OpenOptions::new().read(true), path, 0)?, limit)
}

/// Creates a file with mode 0600, replacing whatever has that name.
///
/// # Errors
/// I/O errors; the file does not exist afterwards.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = new().or_else(|error| match error.kind() {
        // An existing file is not written into, because it may be a hard link to another file.
        ErrorKind::AlreadyExists => remove(path).and_then(|()| new()),
        _ => Err(error),
    })?;
    file.write_all(content).inspect_err(|_| {
        // The error of the write is more useful than one of removing the file.
        let _ = remove(path);
    })
}

/// Replaces a file's content atomically: it is written to `unfinished`, on the same file system, and renamed.
///
/// # Errors
/// I/O errors; the file keeps its earlier content.
pub fn replace(path: &Path, unfinished: &Path, content: &[u8]) -> io::Result<()> {
    create(unfinished, content)?;
    fs::rename(unfinished, path).inspect_err(|_| {
        // As above.
        let _ = remove(unfinished);
    })
}

/// Removes a file; one that is missing is removed already.
///
/// # Errors
/// That of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Opens a file to be locked with flock(2), and creates it if it is missing.
///
/// # Errors
/// That of the file system; [`is_not_regular`].
pub fn open_lock(path: &Path) -> io::Result<File> {
    let options = &mut OpenOptions::new();
    let (file, _) = open(options.write(true).create(true).truncate(false).mode(0o600), path, libc::O_NOFOLLOW)?;
    Ok(file)
}

/// Opens a file, waits until no other process has it locked, and keeps it locked for as long as the value lives.
///
/// # Errors
/// As for [`open_lock`].
pub fn lock(path: &Path) -> io::Result<File> {
    wait_for_lock(open_lock(path)?)
}

fn wait_for_lock(file: File) -> io::Result<File> {
    wait_for(file, File::lock)
}

fn wait_for(file: File, lock: fn(&File) -> io::Result<()>) -> io::Result<File> {
    loop {
        match lock(&file) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome.map(|()| file),
        }
    }
}

/// Opens a regular file, and returns its size in bytes. The type is checked on the open descriptor, so that the file cannot
/// be swapped in between.
fn open(options: &mut OpenOptions, path: &Path, follow: i32) -> io::Result<(File, u64)> {
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | follow).open(path).map_err(irregular)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other(NotRegular)) }
}

/// The errors of open(2) for a symbolic link (with `O_NOFOLLOW`), a socket or a FIFO without a reader, and a folder.
fn irregular(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENXIO | libc::EISDIR) => io::Error::other(NotRegular),
        _ => error,
    }
}

/// Reads a file whose size is known with a single read(2), without another one to see its end.
fn read_to_limit((mut file, size): (File, u64), limit: usize) -> io::Result<Vec<u8>> {
    let expected = usize::try_from(size).map_or(limit, |size| size.min(limit));
    // The kernel's own files have no size.
    let mut content = vec![0; if expected == 0 { limit } else { expected } + 1];
    let mut length = 0;
    loop {
        if length == content.len() {
            // It has grown meanwhile.
            content.resize(limit + 1, 0);
        }
        match file.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length as u64 == size {
            break;
        }
    }
    if length > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is longer than {limit} bytes")));
    }
    content.truncate(length);
    Ok(content)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
