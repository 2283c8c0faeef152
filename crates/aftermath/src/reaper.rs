//! Whether an orphan is reaped.
//!
//! An orphan becomes a child of the nearest subreaper, which reaps by definition (PR_SET_CHILD_SUBREAPER(2const)), or of the
//! first process of its pid namespace. On a host that is an init system. In a container it may be a program that was never
//! meant to be one, under which every orphan stays a zombie.

use std::fs;
use std::io;
use std::sync::OnceLock;

use nix::sys::signal::Signal;

/// Programs that are made to be the first process. While they wait by sigwait(3), their signals do not tell.
const INITS: [&str; 9] =
    ["systemd", "init", "tini", "docker-init", "podman-init", "dumb-init", "catatonit", "s6-svscan", "pause"];

/// The first pid namespace, that of the host (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const OF_THE_HOST: &str = "pid:[4026531836]";

/// Whether orphans are known to be reaped here.
///
/// # Errors
/// They are not, or it cannot be told.
pub fn require() -> io::Result<()> {
    static REAPED: OnceLock<bool> = OnceLock::new();
    if *REAPED.get_or_init(|| on_the_host() || first_process_reaps()) {
        return Ok(());
    }
    Err(io::Error::other("the first process of this pid namespace is not known to reap orphans"))
}

fn on_the_host() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace.as_os_str() == OF_THE_HOST)
}

fn first_process_reaps() -> bool {
    fs::read_to_string("/proc/1/status").is_ok_and(|status| says_that_it_reaps(&status))
}

/// By what /proc/PID/status shows of a process. Who blocks SIGCHLD reads it from a signalfd(2), and the children of a process
/// that ignores it are reaped by the kernel. To handle it says nothing: Go's runtime handles every signal.
fn says_that_it_reaps(status: &str) -> bool {
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let has_sigchld =
        |mask| u64::from_str_radix(mask, 16).is_ok_and(|mask| mask >> (Signal::SIGCHLD as u32 - 1) & 1 == 1);
    INITS.contains(&field("Name:")) || ["SigBlk:", "SigIgn:"].into_iter().any(|name| has_sigchld(field(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, blocked: &str, ignored: &str, caught: &str) -> String {
        format!("Name:\t{name}\nSigPnd:\t0\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\nThreads:\t1\n")
    }

    #[test]
    fn an_init_reaps() {
        assert!(says_that_it_reaps(&status("tini", "0", "0000000000300000", "0")));
        assert!(says_that_it_reaps(&status("another", "7be3c0fe28014a03", "0000000000001000", "00000001800004ec")));
    }

    #[test]
    fn the_kernel_reaps_for_a_process_that_ignores_its_children() {
        assert!(says_that_it_reaps(&status("another", "0", "0000000000010000", "0")));
    }

    #[test]
    fn any_other_process_may_leave_zombies() {
        assert!(!says_that_it_reaps(&status("dockerd", "0", "0", "fffffffd7fc1feff")), "Go handles every signal");
        assert!(!says_that_it_reaps(&status("sleep", "0", "0000000000001000", "0000000000000002")));
        assert!(!says_that_it_reaps(&status("tini-like", "nonsense", "0", "0")) && !says_that_it_reaps(""));
    }
}
