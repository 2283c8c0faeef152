//! Ending a server.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long it may take to end when it is asked to, in seconds.
const PATIENCE: i64 = 2;

/// Has a process end, if it is still the one that is meant, and waits until it has: first it is asked to (SIGTERM), then it is killed.
/// Whether there was one to end.
///
/// # Errors
/// The kernel's refusal; [`io::ErrorKind::TimedOut`] if it does not even end when it is killed.
pub fn end(pid: i32, is_meant: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
    let Some(pid) = (pid > 0).then_some(pid).and_then(Pid::from_raw) else { return Ok(false) };
    // From here on it cannot be another process that is signalled.
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(false),
        process => process?,
    };
    if !is_meant()? {
        return Ok(false);
    }
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(&process, signal) {
            Err(Errno::SRCH) => return Ok(true),
            outcome => outcome?,
        }
        let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))? > 0 {
            return Ok(true);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> (Child, i32) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        (child, pid)
    }

    #[test]
    fn what_is_meant_ends_and_what_has_ended_already_is_no_failure() {
        let (mut child, pid) = sleeper();
        assert!(end(pid, || Ok(true)).unwrap());
        assert!(!child.wait().unwrap().success());
        assert!(!end(pid, || Ok(true)).unwrap());
        assert!(!end(0, || Ok(true)).unwrap() && !end(-1, || Ok(true)).unwrap());
    }

    #[test]
    fn another_process_goes_on() {
        let (mut child, pid) = sleeper();
        assert!(!end(pid, || Ok(false)).unwrap());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
