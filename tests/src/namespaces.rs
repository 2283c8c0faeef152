//! A set of namespaces that a thread can enter.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// The namespaces of a test host, or of a container in it. They live as long as something in them runs or
/// this value exists.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Everything but the network, which containers have of their own.
    pub(crate) surroundings: Arc<[(CloneFlags, File)]>,
    pub(crate) network: Arc<File>,
}

impl Namespaces {
    /// Those of a process.
    pub(crate) fn of(pid: u32) -> Self {
        let open = |kind: &str| {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).unwrap_or_else(|error| panic!("open {path}: {error}"))
        };
        Self {
            surroundings: Arc::new([
                (CloneFlags::CLONE_NEWIPC, open("ipc")),
                (CloneFlags::CLONE_NEWUTS, open("uts")),
                (CloneFlags::CLONE_NEWPID, open("pid")),
                (CloneFlags::CLONE_NEWNS, open("mnt")),
            ]),
            network: Arc::new(open("net")),
        }
    }

    /// The same surroundings with another network namespace.
    pub(crate) fn with_network(&self, network: File) -> Self {
        Self { surroundings: Arc::clone(&self.surroundings), network: Arc::new(network) }
    }

    /// Runs `work` on a thread of its own that is inside all these namespaces: what it opens, spawns and
    /// reads is the host's. The thread cannot start threads (its children live in another pid namespace).
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            // A mount namespace can only be entered by somebody who shares no working directory.
            unshare(CloneFlags::CLONE_FS).expect("unshare the working directory");
            self.enter_network();
            for (kind, file) in self.surroundings.iter() {
                setns(file.as_fd(), *kind).unwrap_or_else(|errno| panic!("enter {kind:?}: {errno}"));
            }
            work()
        })
    }

    /// Runs `work` on a thread of its own that is inside the network namespace only: for sockets, and for
    /// commands that must see the harness' own processes.
    pub fn enter_network_only<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            self.enter_network();
            work()
        })
    }

    fn enter_network(&self) {
        setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
    }
}

/// Runs `work` on a new thread, which takes its namespaces with it when it ends; its panic becomes ours.
pub(crate) fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let name = thread::current().name().unwrap_or("test").to_owned();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, work).expect("start a thread");
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
