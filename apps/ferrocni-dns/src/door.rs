//! Where those who attach containers ring.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use names::wire::{self, Answer, MAX_LINE, Request};
use nix::sys::stat::{Mode, umask};
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

/// Where the server listens, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Door {
    /// Removed at the end, unless systemd has made it.
    made: Option<PathBuf>,
    _alone: File,
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = fs::remove_file(path);
        }
    }
}

impl Door {
    /// Takes the socket that systemd has passed, or makes one.
    ///
    /// # Errors
    /// That of the file system; [`ErrorKind::AddrInUse`] if another server has it.
    pub(crate) fn open(path: &Path, passed: Option<StdListener>) -> io::Result<(Self, StdListener)> {
        let alone = alone(path)?;
        match passed {
            Some(listener) => Ok((Self { made: None, _alone: alone }, listener)),
            None => {
                let listener = bind(path)?;
                Ok((Self { made: Some(path.to_owned()), _alone: alone }, listener))
            }
        }
    }
}

/// Two servers would take each other's sockets.
fn alone(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let lock = files::open_lock(&path.with_extension("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(ErrorKind::AddrInUse, "another server listens there")),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
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
