//! Throw-away hosts: a network and a mount namespace of their own, with empty `/run` and `/var/lib`.
//!
//! Nothing has to be cleaned up: when the program ends, in whatever way, the namespaces go and take their links, rules,
//! reservations and the containers' namespaces with them.

use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Error, Result};

/// Where a host keeps its containers' network namespaces.
const NAMESPACES: &str = "/run/netns";

/// A host to measure on.
pub(crate) struct Host {
    network: File,
    mounts: File,
}

impl Host {
    /// A new host with its loopback up.
    pub(crate) fn new() -> Result<Self> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).map_err(Error::system("unshare"))?;
            mount_private()?;
            set_loopback_up()?;
            Ok(Self { network: open("/proc/thread-self/ns/net")?, mounts: open("/proc/thread-self/ns/mnt")? })
        })
    }

    /// Runs `work` on a thread inside this host; the processes and threads it starts are inside too.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_own_thread(|| {
            // The kernel moves only a thread that shares its root and working directory with no other.
            unshare(CloneFlags::CLONE_FS).map_err(Error::system("unshare"))?;
            setns(&self.mounts, CloneFlags::CLONE_NEWNS).map_err(Error::system("setns"))?;
            setns(&self.network, CloneFlags::CLONE_NEWNET).map_err(Error::system("setns"))?;
            work()
        })
    }

    /// A new network namespace for a container, bound to a path that exists in this host only.
    pub(crate) fn add_namespace(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(NAMESPACES).join(name);
        self.run(|| {
            File::create_new(&path).map_err(Error::file(&path))?;
            unshare(CloneFlags::CLONE_NEWNET).map_err(Error::system("unshare"))?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(Error::system("mount"))
        })?;
        Ok(path)
    }
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Makes `/run` and `/var/lib` empty and in memory, and `/sys` that of this host's network.
fn mount_private() -> Result<()> {
    let failed = Error::system("mount");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(&failed)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).map_err(&failed)?;
    for path in ["/run", "/var/lib"] {
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), none).map_err(&failed)?;
    }
    for path in [NAMESPACES, "/var/lib/cni"] {
        fs::create_dir(path).map_err(Error::file(path))?;
    }
    Ok(())
}

fn set_loopback_up() -> Result<()> {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().map_err(Error::file("ip"))?;
    if status.success() { Ok(()) } else { Err(Error::Tool { program: "ip", status }) }
}

fn open(path: &str) -> Result<File> {
    File::open(path).map_err(Error::file(path))
}
