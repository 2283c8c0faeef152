//! Where those who attach containers ring.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use names::wire::{self, Answer, MAX_LINE, Request};
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::server::{Error, Server};
use crate::{log, lookup};

/// When no connection can be accepted, descriptors are used up, and will be free in a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever rings.
pub(crate) async fn serve(server: Rc<Server>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(converse(Rc::clone(&server), stream))),
            Err(error) => {
                log::trouble(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(server: Rc<Server>, stream: UnixStream) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let answer = match wire::read(&line) {
            Ok(request) => answer(&server, request).await.unwrap_or_else(Answer::Error),
            Err(error) => Answer::Error(format!("this is no request: {error}")),
        };
        if writer.write_all(&wire::line(&answer)).await.is_err() {
            return;
        }
        server.look_around().await;
    }
}

async fn answer(server: &Rc<Server>, request: Request) -> Result<Answer, String> {
    let attachment =
        |name: String| files::attachment_of(&name).ok_or(Error::Name(name)).map_err(|error| error.to_string());
    match request {
        Request::Serve(name) => {
            server.serve(&attachment(name)?).await.map_err(|error| log::describe(&error))?;
            Ok(Answer::Done)
        }
        Request::Forget(name) => {
            server.forget(&attachment(name)?).await;
            Ok(Answer::Done)
        }
        Request::Lookup(question) => lookup::look_up(server, &question).await.map(Answer::Lookup),
        Request::Status(()) => Ok(Answer::Status(server.status())),
    }
}

/// A socket that listens already.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Systemd's, which stays when the server ends.
    BySystemd(StdListener),
    /// That of somebody who has rung and found nobody ([`names::start`]).
    ByRinger(StdListener),
}

/// Where the server listens, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Door {
    /// Removed at the end; none if it is systemd's.
    socket: Option<SocketFile>,
    _alone: File,
}

/// The file of a socket. No other file gets its inode as long as the socket is open.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Removes it unless somebody else has: another server may have its name by now.
    fn remove(&self) -> io::Result<()> {
        let there = Self::at(&self.path)?;
        if (there.device, there.inode) == (self.device, self.inode) { fs::remove_file(&self.path) } else { Ok(()) }
    }
}

impl Door {
    /// Takes the socket that was passed, or makes one.
    ///
    /// # Errors
    /// That of the file system; [`ErrorKind::AddrInUse`] if another server has it.
    pub(crate) fn open(path: &Path, passed: Option<Passed>) -> io::Result<(Self, StdListener)> {
        let lock = lock_of(path)?;
        if let Some(Passed::ByRinger(listener)) = passed {
            let socket = SocketFile::at(path)?;
            // Nobody's child or session's: who has started it goes on.
            setsid()?;
            // Whoever has it listens no more, and is about to end.
            lock.lock()?;
            return Ok((Self { socket: Some(socket), _alone: lock }, listener));
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another server listens there"));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        match passed {
            Some(Passed::BySystemd(listener)) => Ok((Self { socket: None, _alone: lock }, listener)),
            _ => {
                let listener = bind(path)?;
                Ok((Self { socket: Some(SocketFile::at(path)?), _alone: lock }, listener))
            }
        }
    }

    /// Lets nobody in any more, before the socket is closed. Who has rung and is not answered finds nobody, and starts another
    /// server, whose socket gets this one's name.
    ///
    /// # Errors
    /// That of the file system.
    pub(crate) fn close(&self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let removed = files::lock(&names::start::lock_of(&socket.path)).and_then(|_nobody_starts| socket.remove());
        match removed {
            // Somebody has removed it, or the whole folder.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

/// Held by one server at a time: two would take each other's sockets.
fn lock_of(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    files::open_lock(&path.with_extension("lock"))
}

/// For root alone: who rings can have the server enter any namespace. A socket's file outlives a server that was killed.
fn bind(path: &Path) -> io::Result<StdListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let usual = umask(Mode::from_bits_truncate(0o177));
    let listener = StdListener::bind(path);
    umask(usual);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Not with [`bind`], whose umask other tests' threads would have as well.
    fn door(path: &Path) -> (Door, StdListener) {
        let lock = lock_of(path).unwrap();
        let listener = StdListener::bind(path).unwrap();
        (Door { socket: Some(SocketFile::at(path).unwrap()), _alone: lock }, listener)
    }

    #[test]
    fn a_server_that_ends_removes_its_own_socket_and_no_successor_s() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("ferrocni");
        let path = folder.join("dns.sock");
        let (first, _listener) = door(&path);
        fs::remove_dir_all(&folder).unwrap();
        first.close().unwrap();
        let (successor, _its_listener) = door(&path);
        first.close().unwrap();
        assert!(path.exists(), "the successor's");
        successor.close().unwrap();
        assert!(!path.exists());
    }
}
