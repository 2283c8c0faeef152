//! What systemd passes to the daemon that it starts (`sd_listen_fds(3)`): the socket to listen on, and what an earlier daemon has
//! stored with it.

use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd as _, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::SockRef;

/// Where the inherited descriptors begin (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The descriptors that were passed to this process, each with the name that its unit or whoever stored it has given it. Only the
/// first call gets them.
#[must_use]
pub fn take() -> Vec<(String, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name: &str| std::env::var(name).ok();
    let count = passed(variable, std::process::id());
    if count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').chain(std::iter::repeat(""));
    (FIRST..).zip(names).take(count).map(|(number, name)| (name.to_owned(), descriptor(number))).collect()
}

/// The Unix socket to listen on that was passed to this process, if one was. Only the first call gets it.
///
/// # Errors
/// Several sockets were passed, or something that is not listening on a Unix socket.
pub fn listener() -> std::io::Result<Option<UnixListener>> {
    let mut passed = take();
    if passed.len() > 1 {
        let count = passed.len();
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("systemd passed {count} sockets, and one is expected"),
        ));
    }
    passed.pop().map(|(_, socket)| listening(socket)).transpose()
}

/// The Unix socket to listen on that whoever has started this process has given it as its standard input, as inetd does. Whatever else
/// that has left open is closed, so that nobody waits for the end of a pipe; nothing else may be open yet.
///
/// # Errors
/// That of copying or changing the descriptor.
pub fn on_stdin() -> std::io::Result<Option<UnixListener>> {
    let stdin = std::io::stdin();
    if !SockRef::from(&stdin).is_listener().unwrap_or(false) {
        return Ok(None);
    }
    close_all_but_standard()?;
    listening(stdin.as_fd().try_clone_to_owned()?).map(Some)
}

fn close_all_but_standard() -> std::io::Result<()> {
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.map(number).transpose())
        .collect::<Result<_, _>>()?;
    for number in open.into_iter().filter(|number| *number >= FIRST) {
        // That of the folder itself is closed by now.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// A socket as a listener that does not block.
///
/// # Errors
/// It is something else than a socket that listens with a Unix address.
pub fn listening(socket: OwnedFd) -> std::io::Result<UnixListener> {
    let listens = SockRef::from(&socket).is_listener().unwrap_or(false);
    let listener = UnixListener::from(socket);
    if !listens || listener.local_addr().is_err() {
        return Err(Error::new(ErrorKind::InvalidInput, "what was passed is not a listening Unix socket"));
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[expect(unsafe_code, reason = "a descriptor opened by another program is only a number to us")]
fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the program that names this process in LISTEN_PID has opened the descriptor for it, and nothing in it can own it
    // already: the only caller comes here once for each.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// How many descriptors are meant for the process `pid`.
fn passed(variable: impl Fn(&str) -> Option<String>, pid: u32) -> usize {
    let number = |name| variable(name).and_then(|text| text.parse::<u32>().ok());
    let count = if number("LISTEN_PID") == Some(pid) { number("LISTEN_FDS").unwrap_or(0) } else { 0 };
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_this_process_counts() {
        let environment = |pid: &'static str, fds: &'static str| {
            move |name: &str| Some(if name == "LISTEN_PID" { pid } else { fds }.to_owned())
        };
        assert_eq!(passed(environment("7", "1"), 7), 1);
        assert_eq!(passed(environment("7", "1"), 8), 0);
        assert_eq!(passed(environment("7", "one"), 7), 0);
        assert_eq!(passed(|_| None, 7), 0);
    }
}
