//! Throw-away hosts: a network and a mount namespace of their own, with empty `/run` and `/var/lib`.
//!
//! Nothing has to be cleaned up: when the program ends, in whatever way, the namespaces go and take their links, rules,
//! reservations and the containers' namespaces with them.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Error, Result};

/// Where a host keeps its containers' network namespaces.
const NAMESPACES: &str = "/run/netns";

/// What a host's link to a wire is called.
pub(crate) const WIRE: &str = "uplink";

/// The host's address on the wire.
pub(crate) const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A throw-away host: network and mount namespaces of its own.
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
            ip(&["link", "set", "lo", "up"])?;
            Ok(Self { network: open("/proc/thread-self/ns/net")?, mounts: open("/proc/thread-self/ns/mnt")? })
        })
    }

    /// Gives the host a link [`WIRE`], one end of a veth pair whose other end is up.
    pub(crate) fn add_wire(&self) -> Result<()> {
        self.run(|| {
            ip(&["link", "add", WIRE, "up", "type", "veth", "peer", "name", "wire"])?;
            ip(&["link", "set", "wire", "up"])
        })
    }

    /// Another host on this one's wire, as a namespace; this one's address for it is [`PUBLIC`].
    pub(crate) fn add_neighbour(&self) -> Result<PathBuf> {
        let namespace = self.add_namespace("neighbour")?;
        self.add_wire()?;
        self.run(|| {
            ip(&["link", "set", "wire", "netns", "neighbour"])?;
            ip(&["address", "add", &format!("{PUBLIC}/24"), "dev", WIRE])
        })?;
        self.inside(&namespace, || {
            ip(&["address", "add", "192.0.2.2/24", "dev", "wire"])?;
            ip(&["link", "set", "wire", "up"])
        })?;
        Ok(namespace)
    }

    /// Puts another host on this one's wire: this one is [`PUBLIC`] there, the other one 192.0.2.2.
    pub(crate) fn connect(&self, other: &Self) -> Result<()> {
        self.add_wire()?;
        let network = format!("/proc/{}/fd/{}", std::process::id(), other.network.as_raw_fd());
        self.run(|| {
            ip(&["link", "set", "wire", "netns", &network])?;
            ip(&["address", "add", &format!("{PUBLIC}/24"), "dev", WIRE])
        })?;
        other.run(|| {
            ip(&["link", "set", "wire", "name", WIRE])?;
            ip(&["address", "add", "192.0.2.2/24", "dev", WIRE])?;
            ip(&["link", "set", WIRE, "up"])
        })
    }

    /// The same host once more.
    pub(crate) fn again(&self) -> Result<Self> {
        let again = |file: &File| file.try_clone().map_err(Error::file("a host's namespace"));
        Ok(Self { network: again(&self.network)?, mounts: again(&self.mounts)? })
    }

    /// Runs `work` on a thread inside a network namespace of this host's.
    pub(crate) fn inside<T: Send>(&self, namespace: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.run(|| {
            let file = File::open(namespace).map_err(Error::file(namespace))?;
            setns(file, CloneFlags::CLONE_NEWNET).map_err(Error::system("setns"))?;
            work()
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

/// Lays another release's programs and libraries, its folder `usr`, over those of the host that the calling thread is in.
pub(crate) fn lay_over(usr: &Path) -> Result<()> {
    const PLACE: &str = "/run/usr";
    let failed = Error::system("mount");
    let none = None::<&str>;
    fs::create_dir(PLACE).map_err(Error::file(PLACE))?;
    // An overlay's option could not have every path in it.
    mount(Some(usr), PLACE, none, MsFlags::MS_BIND, none).map_err(&failed)?;
    let layers = format!("lowerdir={PLACE}:/usr");
    mount(Some("overlay"), "/usr", Some("overlay"), MsFlags::empty(), Some(layers.as_str())).map_err(&failed)
}

/// Runs `ip` where the calling thread is.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(arguments).status().map_err(Error::file("ip"))?;
    if status.success() { Ok(()) } else { Err(Error::Tool { program: "ip", status }) }
}

fn open(path: &str) -> Result<File> {
    File::open(path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<String> {
        let entries = fs::read_dir("/sys/class/net").expect("sysfs is mounted");
        entries.map(|entry| entry.expect("a link").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_host_has_its_loopback_alone_and_an_empty_run() {
        let host = Host::new().expect("run as root");
        assert_eq!(host.run(|| Ok(links())).expect("inside"), ["lo"]);
        assert_eq!(host.run(|| Ok(fs::read_dir("/run").expect("/run").count())).expect("inside"), 1);
    }

    #[test]
    fn what_is_made_in_a_host_is_not_seen_outside_or_in_another() {
        let [one, other] = [(); 2].map(|()| Host::new().expect("run as root"));
        let path = one.add_namespace("ferrocni-bench-test").expect("a namespace");
        assert!(one.run(|| Ok(path.exists())).expect("inside"));
        assert!(!other.run(|| Ok(path.exists())).expect("inside"));
        assert!(!path.exists());
    }

    #[test]
    fn an_added_namespace_is_not_the_hosts_own() {
        let host = Host::new().expect("run as root");
        let path = host.add_namespace("container").expect("a namespace");
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("a namespace"));
        let pair = host.run(|| Ok((inode(&path), inode(Path::new("/proc/thread-self/ns/net"))))).expect("inside");
        assert_ne!(pair.0, pair.1);
    }
}
