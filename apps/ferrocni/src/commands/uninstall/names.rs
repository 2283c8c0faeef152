//! What answers for containers' names, where systemd has not started it.

use std::io::{self, ErrorKind};
use std::path::Path;

use ::names::{Records, SOCKET, Server, redirect};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::commands::doctor::listening::holder;
use crate::failure::Failure;

/// What the server's program is called, as proc(5) has it.
const PROGRAM: &str = "ferrocni-dns";
/// The most that a list of sockets may have, in bytes.
const LIMIT: usize = 64 << 20;

/// Removes the records of names with the rules that lead to the server, ends the server, and says what it has done.
pub(super) fn remove() -> Result<Vec<String>, Failure> {
    let mut done = Vec::new();
    let records = Records::default();
    for attachment in records.attachments()? {
        // One that cannot be read says nothing of a namespace.
        let record = records.read(&attachment).ok().flatten();
        if let Some(netns) = record.map(|record| record.namespace.open()).transpose()?.flatten() {
            redirect::remove(&netns)?;
        }
        records.remove(&attachment)?;
        done.push(format!("names of {attachment} are removed"));
    }
    if stop()? {
        done.push("the DNS server is stopped".to_owned());
    }
    for name in ["dns.lock", "dns.log"] {
        files::remove(&Path::new(SOCKET).with_file_name(name))?;
    }
    Ok(done)
}

/// Whether there was one to stop.
fn stop() -> io::Result<bool> {
    let Some((pid, name)) = listener(Server::default().path())?.and_then(holder) else { return Ok(false) };
    let Some(pid) = i32::try_from(pid).ok().filter(|_| name == PROGRAM).map(Pid::from_raw) else { return Ok(false) };
    match kill(pid, Signal::SIGTERM) {
        Err(Errno::ESRCH) => Ok(false),
        outcome => outcome.map(|()| true).map_err(io::Error::from),
    }
}

/// The inode of the socket that is bound to a path (`/proc/net/unix`: "Num RefCount Protocol Flags Type St Inode Path").
fn listener(path: &Path) -> io::Result<Option<u64>> {
    let list = match files::read_through_links(Path::new("/proc/net/unix"), LIMIT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        list => list?,
    };
    let list = String::from_utf8_lossy(&list);
    let bound = list.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, _, _, flags, _, _, inode, bound] = words[..] else { return None };
        // `__SO_ACCEPTCON`: it listens.
        (flags == "00010000" && Path::new(bound) == path).then(|| inode.parse().ok())?
    });
    Ok(bound)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn who_listens_on_a_socket_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        assert_eq!(listener(&path).unwrap(), None);
        let _listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let inode = listener(&path).unwrap().unwrap();
        assert_eq!(holder(inode).map(|(pid, _)| pid), Some(std::process::id()));
    }
}
