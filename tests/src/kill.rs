//! Killing a plugin wherever it changes something.

use std::os::unix::process::ExitStatusExt as _;

use crate::cni::Cni;
use crate::command::Finished;

/// The system calls by which a plugin changes anything outside itself. Opening is one of them: it may create. Which of
/// several for the same thing it makes is the C library's choice.
const CHANGING: [&str; 20] = [
    "sendto",
    "sendmsg",
    "open",
    "openat",
    "write",
    "pwrite64",
    "writev",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "ftruncate",
];

const SIGKILL: i32 = 9;

impl Cni<'_> {
    /// Runs the plugin again and again, each time killed as it is about to make its first, second, third ...
    /// call of each system call that can change something, and calls `after` each time with the name of that
    /// point ("sendto 3"); `after` has to bring the world back to where the next run can start. Runs that end
    /// by themselves, once for each system call, are followed by `after` as well. Returns how often the
    /// plugin was killed.
    ///
    /// # Panics
    /// If strace is missing.
    #[track_caller]
    pub fn killed_at_every_change(&self, after: impl FnMut(&str)) -> usize {
        at_every_change(|wrapper| self.run_under(wrapper).finished, after)
    }

    /// The same for one system call: where processes are slow to start, `sendto`, with which the kernel is asked, tells most.
    ///
    /// # Panics
    /// If strace is missing.
    #[track_caller]
    pub fn killed_at_every(&self, syscall: &str, mut after: impl FnMut(&str)) -> usize {
        at_every(syscall, &|wrapper| self.run_under(wrapper).finished, &mut after)
    }
}

/// [`Cni::killed_at_every_change`] of whatever `run` runs under the wrapper that it is given.
#[track_caller]
pub(crate) fn at_every_change(run: impl Fn(&[&str]) -> Finished, mut after: impl FnMut(&str)) -> usize {
    CHANGING.iter().map(|syscall| at_every(syscall, &run, &mut after)).sum()
}

#[track_caller]
fn at_every(syscall: &str, run: &impl Fn(&[&str]) -> Finished, after: &mut impl FnMut(&str)) -> usize {
    for nth in 1.. {
        let finished = killed(syscall, nth, run);
        after(&format!("{syscall} {nth}"));
        if finished.status.signal() != Some(SIGKILL) {
            assert!(finished.status.success(), "not killed, and yet failed: {finished}");
            return nth - 1;
        }
    }
    unreachable!("a program makes finitely many system calls")
}

/// A call that this machine's kernel does not have (`open` on arm64) is one that nobody makes.
fn killed(syscall: &str, nth: usize, run: &impl Fn(&[&str]) -> Finished) -> Finished {
    let trace = format!("trace=?{syscall}");
    let inject = format!("inject=?{syscall}:signal=KILL:when={nth}");
    run(&["strace", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}
