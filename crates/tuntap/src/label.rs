//! A tap in an SELinux context.
//!
//! The kernel labels a tap with the context of the *process* that makes it, and with nothing else that one could set
//! (`selinux_tun_dev_alloc_security`, security/selinux/hooks.c). A process that has entered a context seldom may leave it
//! again, and only one with a single thread may enter it (`selinux_lsm_setattr`). So this is the one thing that a process of
//! its own does: a copy of this one, which ends right after it.
#![expect(unsafe_code, reason = "nothing safe wraps fork")]

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::sys::statfs::{SELINUX_MAGIC, statfs};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, write};

use crate::Error;
use crate::ioctl::{self, Request};

/// Where SELinux shows itself.
const SELINUXFS: &str = "/sys/fs/selinux";

/// What the copy could not do.
pub(crate) enum Failure {
    /// The kernel refused the SELinux context.
    Enter(Errno),
    /// Make the tap.
    Create(Errno),
    /// Be made, or tell.
    Copy(io::Error),
}

impl Failure {
    fn from_fork(errno: Errno) -> Self {
        Self::Copy(errno.into())
    }
}

/// Makes sure that there are contexts at all.
pub(crate) fn require_selinux() -> Result<(), Error> {
    match statfs(SELINUXFS) {
        Ok(found) if found.filesystem_type() == SELINUX_MAGIC => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Error::NoSelinux),
        Err(errno) => Err(Error::Selinux { folder: SELINUXFS, source: errno.into() }),
    }
}

/// Makes the tap of `request` on `file`, in the context.
pub(crate) fn create_in_context(file: &File, request: &mut Request, context: &str) -> Result<(), Failure> {
    // SAFETY: until it ends, which is the last thing that `in_copy` does, the copy calls nothing that is not safe after a fork
    // of a process with threads (signal-safety(7)): four system calls, without allocating.
    match unsafe { fork() }.map_err(Failure::from_fork)? {
        ForkResult::Child => in_copy(file, request, context),
        ForkResult::Parent { child } => outcome_of(child),
    }
}

fn in_copy(file: &File, request: &mut Request, context: &str) -> ! {
    let status = match enter(context) {
        Err(errno) => status_of(errno),
        Ok(()) => ioctl::set_interface(file, request).map_or_else(|errno| IN_CONTEXT + status_of(errno), |()| 0),
    };
    // SAFETY: this ends the process without running anything of it.
    unsafe { libc::_exit(status) }
}

/// As setcon(3) does.
fn enter(context: &str) -> Result<(), Errno> {
    let attribute = open(c"/proc/thread-self/attr/current", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(attribute, context.as_bytes()).map(drop)
}

/// Exit statuses from here on are of what came after the context was entered.
const IN_CONTEXT: i32 = 128;

/// An errno as an exit status. None of those that can occur here is as high as the limit.
fn status_of(errno: Errno) -> i32 {
    (errno as i32).clamp(1, IN_CONTEXT - 1)
}

fn outcome_of(copy: Pid) -> Result<(), Failure> {
    let ended = loop {
        match waitpid(copy, None) {
            Err(Errno::EINTR) => {}
            outcome => break outcome.map_err(Failure::from_fork)?,
        }
    };
    match ended {
        WaitStatus::Exited(_, 0) => Ok(()),
        WaitStatus::Exited(_, status) if status < IN_CONTEXT => Err(Failure::Enter(Errno::from_raw(status))),
        WaitStatus::Exited(_, status) => Err(Failure::Create(Errno::from_raw(status - IN_CONTEXT))),
        other => Err(Failure::Copy(io::Error::other(format!("it ended with {other:?}")))),
    }
}
