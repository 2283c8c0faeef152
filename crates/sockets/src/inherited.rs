//! The listening socket that systemd made before it started the daemon (`sd_listen_fds(3)`).

use std::io::{Error, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::SockRef;

/// Where the inherited descriptors begin (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The Unix socket to listen on that was passed to this process, if one was. Only the first call gets it.
///
/// # Errors
/// Several sockets were passed, or something that is not listening on a Unix socket.
pub fn listener() -> std::io::Result<Option<UnixListener>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let count = passed(|name| std::env::var(name).ok(), std::process::id());
    if count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(None);
    }
    if count > 1 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("systemd passed {count} sockets, and one is expected"),
        ));
    }
    let socket = first();
    let listens = SockRef::from(&socket).is_listener().unwrap_or(false);
    let listener = UnixListener::from(socket);
    if !listens || listener.local_addr().is_err() {
        return Err(Error::new(ErrorKind::InvalidInput, "what systemd passed is not a listening Unix socket"));
    }
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

#[expect(unsafe_code, reason = "a descriptor opened by another program is only a number to us")]
fn first() -> OwnedFd {
    // SAFETY: the program that names this process in LISTEN_PID has opened the descriptor for it, and nothing in it can own it
    // already: the only caller comes here once.
    unsafe { OwnedFd::from_raw_fd(FIRST) }
}

/// How many descriptors are meant for the process `pid`.
fn passed(variable: impl Fn(&str) -> Option<String>, pid: u32) -> u32 {
    let number = |name| variable(name).and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(pid) { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
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
