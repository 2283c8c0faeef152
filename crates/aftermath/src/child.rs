//! The child process.
#![expect(unsafe_code, reason = "fork(2), and what a child of it may call")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// How long sockets stay open that are given away: a burst of removals is over by then.
const LINGER: Duration = Duration::from_secs(1);
/// How long the kernel has something to free after a removal, at most: a few grace periods of RCU.
const FREEING: Duration = Duration::from_millis(50);
/// Where kernels before 5.9 have no close_range(2): more descriptors than any program here has open.
const DESCRIPTORS: i32 = 1 << 16;

/// A child that does what its parent does not wait for.
#[derive(Debug)]
pub struct Child(Pid);

impl Child {
    /// Its process id, which the kernel keeps until the child is reaped.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.0.as_raw()
    }

    /// Whether it has ended: it has done its work, or was killed.
    pub fn has_ended(&mut self) -> bool {
        // It is no other process's child, so the only failure is that it was reaped already.
        waitpid(self.0, Some(WaitPidFlag::WNOHANG)).map_or(true, |status| status.pid().is_some())
    }
}

/// Has the C library call a function when the process ends.
pub(crate) fn at_exit(function: extern "C" fn()) {
    // SAFETY: the function is part of the program, there for as long as it runs. Without memory the registration fails, and
    // the kernel closes the sockets.
    unsafe { libc::atexit(function) };
}

/// Makes a child that has `kept` open for a second, and `sign` as long as there is something to free, after it has sent a datagram if it
/// is to.
pub(crate) fn spawn(
    kept: &[OwnedFd],
    sign: Option<BorrowedFd<'_>>,
    message: Option<(BorrowedFd<'_>, &[u8])>,
) -> io::Result<Child> {
    let mut open: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    open.extend(sign.iter().chain(message.iter().map(|(socket, _)| socket)).map(AsRawFd::as_raw_fd));
    open.sort_unstable();
    // SAFETY: until it exits the child calls functions from the list in signal-safety(7) and system calls only, and touches
    // no memory but what is prepared here, so it does not matter what other threads of the parent were doing.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Child(child)),
        ForkResult::Child => {
            let_go(&open);
            if let Some((socket, datagram)) = message {
                send(socket, datagram);
            }
            if let Some(sign) = sign {
                pause(FREEING);
                close(sign);
            }
            if !kept.is_empty() {
                pause(LINGER);
            }
            // SAFETY: it ends the process at once and runs nothing of the parent's.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Lets go of all that the parent had, but for the descriptors in `keep`, in ascending order.
fn let_go(keep: &[i32]) {
    let mut next = 0;
    for &descriptor in keep {
        close_all(next, descriptor - 1);
        next = descriptor + 1;
    }
    close_all(next, i32::MAX);
    // SAFETY: both take no pointer but to a constant text.
    unsafe {
        libc::setsid();
        libc::chdir(c"/".as_ptr());
    }
}

/// Closes the descriptors from `first` to `last`.
fn close_all(first: i32, last: i32) {
    if first > last {
        return;
    }
    // SAFETY: the parent's descriptors are its own, and nothing in this process owns one: its values are never dropped.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed != 0 {
        for descriptor in first..=last.min(DESCRIPTORS) {
            // SAFETY: as above.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Sends, and closes: a socket keeps its network namespace from going.
fn send(socket: BorrowedFd<'_>, datagram: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice, which the kernel reads.
    while unsafe { libc::send(socket.as_raw_fd(), datagram.as_ptr().cast(), datagram.len(), 0) } < 0 {
        if Errno::last() != Errno::EINTR {
            break;
        }
    }
    close(socket);
}

fn close(descriptor: BorrowedFd<'_>) {
    close_all(descriptor.as_raw_fd(), descriptor.as_raw_fd());
}

fn pause(time: Duration) {
    let time = libc::timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    // SAFETY: the first pointer is to a value of this frame, the second may be null.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}
