//! Starting the server where the system does not: systemd's socket unit starts it when somebody rings.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use cni::Attachment;

use crate::{Server, ServerError};

/// The server's program.
pub const PROGRAM: &str = "ferrocni-dns";

/// Where it is looked for, if it is not beside the program that is running.
const FOLDERS: [&str; 5] = ["/opt/cni/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// What it says until it ends, beside its socket.
const LOG: &str = "dns.log";

/// The most of it that an error tells, in bytes.
const MOST_SAID: usize = 4096;

/// Where systemd runs there is this folder (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum StartError {
    /// It is not installed.
    #[error(
        "there is no DNS server: enable ferrocni-dns.socket, or install the program {PROGRAM} beside this one ({}) or in {}",
        beside.display(), FOLDERS.join(", ")
    )]
    NotInstalled { beside: PathBuf },
    /// The file system's refusal.
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// The program cannot be executed.
    #[error("cannot run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
    /// It has ended at once.
    #[error("{} has ended at its start: {said}", program.display())]
    Ended { program: PathBuf, said: String },
    /// It does not answer.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Has the server serve an attachment, and starts one if there is none.
///
/// # Errors
/// There is none, and none can be started; or it could not do it.
pub fn serve(server: &Server, attachment: &Attachment) -> Result<(), StartError> {
    match server.serve(attachment) {
        Err(error) if error.is_absent() || error.is_gone() => {}
        outcome => return Ok(outcome?),
    }
    start(server)?;
    Ok(server.serve(attachment)?)
}

/// Has the server serve these attachments, which are all those whose containers run, and starts one if there is none. One that answers
/// from as many records has been told of them.
///
/// # Errors
/// As for [`serve`].
pub fn serve_all(server: &Server, running: &[&Attachment]) -> Result<(), StartError> {
    let known = match server.status() {
        Err(error) if error.is_absent() || error.is_gone() => 0,
        status => status?.records,
    };
    if known >= running.len() {
        return Ok(());
    }
    running.iter().try_for_each(|attachment| serve(server, attachment))
}

/// Starts the server, unless somebody else was faster. It answers when this returns.
///
/// # Errors
/// As for [`serve`].
pub fn start(server: &Server) -> Result<(), StartError> {
    let program = program()?;
    let path = lock_of(server.path());
    let _lock = lock(&path).map_err(failed("lock", &path))?;
    if answers(server)? {
        return Ok(());
    }
    let mut ended = None;
    for wrapper in wrappers() {
        let child = launch(server, &program, wrapper.as_deref())?;
        if answers(server)? {
            return Ok(());
        }
        ended = Some(child);
    }
    Err(StartError::Ended { said: last_words(server, ended), program })
}

/// The file that is locked while a server is started, and while one that ends removes its socket, which is at `socket`.
#[must_use]
pub fn lock_of(socket: &Path) -> PathBuf {
    socket.with_extension("start")
}

/// The server's program, of the same installation if possible.
///
/// # Errors
/// There is none.
pub fn program() -> Result<PathBuf, StartError> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere =
        FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path).filter(|folder| folder.is_absolute()));
    let mut candidates = std::iter::once(beside.clone()).chain(elsewhere).map(|folder| folder.join(PROGRAM));
    candidates.find(|candidate| candidate.is_file()).ok_or(StartError::NotInstalled { beside })
}

/// Nobody is there, or nobody any more.
fn answers(server: &Server) -> Result<bool, StartError> {
    match server.status() {
        Err(error) if error.is_absent() || error.is_gone() => Ok(false),
        status => Ok(status.map(|_| true)?),
    }
}

/// What the program is started with, the best first. Where systemd runs it is a scope of its own: what is started from within a
/// service or a login would end with it.
fn wrappers() -> impl Iterator<Item = Option<PathBuf>> {
    let is_booted = Path::new(SYSTEMD).is_dir();
    let found = ["/usr/bin/systemd-run", "/bin/systemd-run"].map(PathBuf::from).into_iter().find(|path| path.is_file());
    found.filter(|_| is_booted).into_iter().map(Some).chain([None])
}

/// Starts the program with a listening socket as its standard input: whoever rings before it is ready is heard, and if it ends, the
/// socket is closed.
fn launch(server: &Server, program: &Path, wrapper: Option<&Path>) -> Result<Child, StartError> {
    let listener = listen(server.path()).map_err(failed("listen on", server.path()))?;
    let path = server.beside(LOG);
    let log = open_log(&path).map_err(failed("write", &path))?;
    let errors = log.try_clone().map_err(failed("write", &path))?;
    let mut command = match wrapper {
        Some(wrapper) => {
            let mut command = Command::new(wrapper);
            let description = "--description=DNS server of ferrocni's containers";
            command.args(["--scope", "--quiet", "--collect", "--slice=system.slice", description, "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.arg("--exit-when-idle").arg("--socket").arg(server.path());
    command.env_clear().current_dir("/").stdin(OwnedFd::from(listener)).stdout(log).stderr(errors);
    command.spawn().map_err(|source| StartError::Run { program: program.to_owned(), source })
}

/// In the place of a socket that nobody listens on, at once usable by root alone.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let unfinished = path.with_extension("sock.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, path)?;
    Ok(listener)
}

fn open_log(path: &Path) -> io::Result<File> {
    files::create(path, b"")?;
    OpenOptions::new().append(true).open(path)
}

/// Makes the folder of the lock if it is missing.
fn lock(path: &Path) -> io::Result<File> {
    files::lock(path).or_else(|error| match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            files::lock(path)
        }
        _ => Err(error),
    })
}

/// What the server has said before it ended, and how it ended.
fn last_words(server: &Server, child: Option<Child>) -> String {
    let said = files::read(&server.beside(LOG), MOST_SAID).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let status = child.and_then(|mut child| child.try_wait().ok().flatten());
    let status = status.map(|status| status.to_string());
    status.into_iter().chain(lines.into_iter().map(str::to_owned)).collect::<Vec<_>>().join("; ")
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StartError + use<'a> {
    move |source| StartError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_socket_that_nobody_listens_on_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dns.sock");
        for _ in 0..2 {
            drop(listen(&path).unwrap());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(Server::at(&path).status().unwrap_err().is_absent());
        let _listener = listen(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn the_folder_of_the_lock_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let _locked = lock(&lock_of(&dir.path().join("ferrocni/dns.sock"))).unwrap();
        assert_eq!(fs::metadata(dir.path().join("ferrocni")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error_that_tells_what_it_has_said() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::at(dir.path().join("dns.sock"));
        let program = dir.path().join(PROGRAM);
        fs::write(&program, "#!/bin/sh\necho no more descriptors >&2\nexit 3\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let mut child = launch(&server, &program, None).unwrap();
        assert!(!answers(&server).unwrap());
        child.wait().unwrap();
        let said = last_words(&server, Some(child));
        assert!(said.contains("exit status: 3") && said.contains("no more descriptors"), "{said}");
    }
}
