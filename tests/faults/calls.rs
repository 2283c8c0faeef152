//! The system calls of a verb, and how each can fail.

use std::collections::BTreeMap;
use std::fmt;

use tests::{Cni, Outcome};

const TRACE: &str = "/run/calls";

/// With this a plugin begins; before it is the C library's and Rust's own start.
const FIRST: &str = "read(0,";

/// A call that fails.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: String,
    /// The how manieth of its kind fails.
    nth: usize,
    errno: &'static str,
    /// The call as strace showed it where nothing failed.
    shown: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:.110}) fails with {}", self.call, self.nth, self.shown, self.errno)
    }
}

impl Fault {
    /// Nobody hears why a reply could not be written, if that was the last of them.
    pub(crate) fn is_in_the_reply(&self) -> bool {
        self.shown.starts_with("write(1,")
    }

    /// Runs the plugin with it.
    #[track_caller]
    pub(crate) fn strike(&self, cni: &Cni<'_>) -> Outcome {
        let Self { call, nth, errno, .. } = self;
        let inject = format!("inject={call}:error={errno}:when={nth}");
        cni.run_under(&["strace", "-qqq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
    }
}

/// Runs the plugin and lists a fault for each of its calls that can fail. With another `turn`, other errnos come first.
#[track_caller]
pub(crate) fn faults_of(cni: &Cni<'_>, turn: usize) -> (Outcome, Vec<Fault>) {
    let outcome = cni.run_under(&["strace", "-qqq", "-o", TRACE]);
    let trace = cni.host().read(TRACE).expect("strace writes a trace");
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    let mut has_begun = false;
    let mut faults = Vec::new();
    for line in trace.lines() {
        let Some((call, _)) = line.split_once('(') else { continue };
        let nth = made.entry(call).or_default();
        *nth += 1;
        has_begun |= line.starts_with(FIRST);
        let errnos = errnos_of(call, line);
        if has_begun && !errnos.is_empty() {
            let errno = errnos[(*nth + turn) % errnos.len()];
            faults.push(Fault { call: call.to_owned(), nth: *nth, errno, shown: line.to_owned() });
        }
    }
    assert!(!faults.is_empty(), "a plugin reads its configuration: {}{trace}", outcome.finished);
    (outcome, faults)
}

/// The errnos that a call can have, of those that come from the machine and not from a mistake in the call.
///
/// # Panics
/// For a call that no plugin has made yet.
fn errnos_of(call: &str, shown: &str) -> &'static [&'static str] {
    match call {
        "open" | "openat" if shown.contains("O_RDONLY") && !shown.contains("O_CREAT") => {
            &["ENFILE", "EMFILE", "EIO", "ENOMEM", "EINTR", "EACCES"]
        }
        "open" | "openat" => &["ENFILE", "EROFS", "EMFILE", "EIO", "ENOMEM", "EINTR", "EACCES"],
        // realpath(3) looks at each component of a path, of which there are as many as where this tree is.
        "readlink" if shown.ends_with("EINVAL (Invalid argument)") => &[],
        "read" | "readv" | "pread64" | "getdents64" | "getdents" => &["EIO", "EINTR", "ENOMEM"],
        "write" | "writev" | "pwrite64" => &["EIO", "EINTR", "ENOMEM", "EACCES"],
        "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "statfs" | "fstatfs" | "readlink" | "readlinkat"
        | "access" | "faccessat" | "chdir" => &["EIO", "EACCES", "ENOMEM", "EINTR"],
        "link" | "linkat" | "symlink" | "symlinkat" | "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2"
        | "mkdir" | "mkdirat" | "rmdir" | "ftruncate" | "chmod" | "fchmod" | "fchmodat" | "chown" | "fchown"
        | "utimensat" => &["EIO", "EROFS", "EACCES", "ENOMEM"],
        "fsync" | "fdatasync" | "syncfs" => &["EIO"],
        "flock" => &["EINTR", "ENOMEM"],
        "socket" | "socketpair" => &["ENFILE", "EMFILE", "ENOBUFS", "ENOMEM", "EACCES"],
        "connect" => &["EINTR", "ENOBUFS", "EACCES", "ENOMEM"],
        "bind" | "setsockopt" | "getsockopt" | "getsockname" => &["ENOBUFS", "ENOMEM"],
        "sendto" | "sendmsg" | "recvfrom" | "recvmsg" => &["ENOBUFS", "EINTR", "ENOMEM"],
        "ioctl" => &["EIO", "ENOMEM", "EINTR", "EACCES"],
        "poll" | "ppoll" | "wait4" => &["EINTR", "ENOMEM"],
        "setns" | "unshare" | "mmap" | "mremap" | "mprotect" | "brk" => &["ENOMEM"],
        "fork" | "vfork" | "clone" | "clone3" => &["ENOMEM", "EAGAIN"],
        "execve" => &["EIO", "ENOMEM", "EACCES"],
        "pipe" | "pipe2" | "dup" | "memfd_create" => &["ENFILE", "EMFILE", "ENOMEM"],
        "fcntl" if shown.contains("F_DUPFD") => &["EMFILE"],
        "fcntl" if shown.contains("LK") => &["EINTR", "ENOMEM"],
        "getrandom" => &["EINTR"],
        // These cannot fail, or nothing can be done about it.
        "fcntl" | "close" | "munmap" | "madvise" | "gettid" | "getpid" | "getuid" | "geteuid" | "getppid" | "umask"
        | "rt_sigaction" | "rt_sigprocmask" | "rt_sigreturn" | "sigaltstack" | "arch_prctl" | "set_tid_address"
        | "futex" | "exit_group" | "nanosleep" | "clock_nanosleep" | "clock_gettime" | "prctl" | "uname" | "lseek"
        | "_llseek" | "restart_syscall" | "tkill" | "sched_getaffinity" | "getcwd" => &[],
        other => panic!("how can {other} fail? the list of calls does not know: {shown}"),
    }
}
