//! Where plugins reach the daemon.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use cni_plugin::Code;
use nix::sys::stat::{Mode, umask};

use super::flags::Flags;
use crate::Error;
use crate::store::Store;

/// What the daemon holds while it listens; let go, its files are gone.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) store: Store,
    made: Vec<PathBuf>,
    _alone: File,
}

impl Drop for Listening {
    fn drop(&mut self) {
        for file in &self.made {
            let _ = fs::remove_file(file);
        }
    }
}

/// Takes the socket that systemd passed, or makes one.
pub(super) fn open(flags: &Flags) -> Result<(Listening, UnixListener), cni_plugin::Error> {
    let path = PathBuf::from(format!("{}{}", flags.host_prefix, flags.socket.display()));
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| cni_plugin::Error::from(Error::Store { doing, path, source })
    };
    let inherited = sockets::inherited::listener().map_err(failed("listen on", &path))?;
    let store = Store::of(&named(inherited.as_ref(), flags), &flags.host_prefix);
    let mut listening = Listening { _alone: store.lock()?, store, made: Vec::new() };
    let listener = match inherited {
        Some(listener) => listener,
        None => {
            refuse_another(&path)?;
            let listener = bind(&path).map_err(failed("listen on", &path))?;
            listening.made.push(path);
            listener
        }
    };
    if let Some(pidfile) = &flags.pidfile {
        let id = std::process::id().to_string();
        let written = files::create(pidfile, id.as_bytes()).and_then(|()| readable_by_all(pidfile));
        written.map_err(failed("write", pidfile))?;
        listening.made.push(pidfile.clone());
    }
    Ok((listening, listener))
}

fn readable_by_all(file: &Path) -> io::Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

/// The name by which plugins know the socket.
fn named(inherited: Option<&UnixListener>, flags: &Flags) -> PathBuf {
    let address = inherited.and_then(|listener| listener.local_addr().ok());
    let Some(path) = address.as_ref().and_then(|address| address.as_pathname()) else { return flags.socket.clone() };
    let path = path.to_string_lossy();
    PathBuf::from(path.strip_prefix(&flags.host_prefix).unwrap_or(&path))
}

/// A socket's file outlives a daemon that was killed; another suite's daemon may be alive behind it.
fn refuse_another(path: &Path) -> Result<(), cni_plugin::Error> {
    match UnixStream::connect(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(()),
        Err(source) => {
            Err(Error::Store { doing: "find out whether a daemon listens on", path: path.into(), source }.into())
        }
        Ok(_) => Err(cni_plugin::Error::new(Code::Internal, format!("a daemon listens on {} already", path.display()))
            .with_details("stop that daemon first, or give this one another -socketpath")),
    }
}

/// For root alone: who can talk to the daemon can have it enter any namespace.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let usual = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(usual);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
