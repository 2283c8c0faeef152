//! Killing a plugin wherever it changes something.

use std::os::unix::process::ExitStatusExt as _;

use crate::cni::{Cni, Outcome};

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
    pub fn killed_at_every_change(&self, mut after: impl FnMut(&str)) -> usize {
        CHANGING.iter().map(|syscall| self.killed_at_every(syscall, &mut after)).sum()
    }

    /// The same for one system call: where processes are slow to start, `sendto`, with which the kernel is asked, tells most.
    ///
    /// # Panics
    /// If strace is missing.
    #[track_caller]
    pub fn killed_at_every(&self, syscall: &str, mut after: impl FnMut(&str)) -> usize {
        for nth in 1.. {
            let outcome = self.run_killed(syscall, nth);
            after(&format!("{syscall} {nth}"));
            if outcome.finished.status.signal() != Some(SIGKILL) {
                assert!(outcome.is_ok(), "not killed, and yet failed: {}", outcome.finished);
                return nth - 1;
            }
        }
        unreachable!("a plugin makes finitely many system calls")
    }

    /// A call that this machine's kernel does not have (`open` on arm64) is one that no plugin makes.
    fn run_killed(&self, syscall: &str, nth: usize) -> Outcome {
        let trace = format!("trace=?{syscall}");
        let inject = format!("inject=?{syscall}:signal=KILL:when={nth}");
        self.run_under(&["strace", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
    }
}
