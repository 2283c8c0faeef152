//! Throw-away hosts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use serde_json::{Value, json};

use crate::binaries::bin_dir;
use crate::chain::Chain;
use crate::cni::Cni;
use crate::command::{Finished, Inside, command};
use crate::namespaces::{Namespaces, on_a_thread};
use crate::snapshot::Snapshot;

/// No test needs longer, not even in a virtual machine; what still runs in a host after it is stuck, and ends
/// with the host.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long the kernel may take to clean up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Folders of the machine that every host has for itself, empty.
const PRIVATE: [&str; 6] = ["/run", "/etc/cni", "/etc/ferrocni", "/var/lib/cni", "/var/lib/ferrocni", "/opt/cni"];

/// A machine for one test: network, mount, pid, uts and ipc namespaces of its own, with an empty `/run`,
/// `/etc/cni`, `/etc/ferrocni`, `/var/lib/cni`, `/var/lib/ferrocni` and `/opt/cni`, forwarding off and `lo` up. The real machine's
/// programs are there, its cgroups too; its links, rules, network sysctls and daemons are not, and its other sysctls can only be read.
///
/// Dropping it kills everything that runs in it. Should the test process itself be killed, the host ends as
/// well: its init waits for the end of a pipe that only the test holds.
#[derive(Debug)]
pub struct Host {
    namespaces: Namespaces,
    init: Child,
    /// Init lives as long as this is open.
    _alive: ChildStdin,
    /// Dropped with the host, which tells the watchdog to stop.
    _watchdog: Sender<()>,
}

/// A host and its [`Host::neighbour`].
#[must_use]
pub fn wire() -> (Host, Host) {
    let host = Host::new();
    let outside = host.neighbour();
    (host, outside)
}

/// An `ipam` for the wire: addresses from .100 and ::100 on; the machine outside is the gateway.
#[must_use]
pub fn of_the_wire() -> Value {
    json!({
        "type": "host-local",
        "ranges": [
            [{"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.100", "gateway": "192.0.2.2"}],
            [{"subnet": "2001:db8::/64", "rangeStart": "2001:db8::100", "gateway": "2001:db8::2"}]
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    })
}

impl Host {
    /// Starts a host (about 20 ms).
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "starting a machine is not a default value")]
    pub fn new() -> Self {
        Self::with(Init::Tini)
    }

    /// A host as a container without an init is one: its first process never reaps an orphan.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn without_reaper() -> Self {
        Self::with(Init::Cat)
    }

    fn with(init: Init) -> Self {
        assert!(geteuid().is_root(), "these tests make namespaces: run them as root");
        for folder in PRIVATE {
            fs::create_dir_all(folder).unwrap_or_else(|error| panic!("create {folder}: {error}"));
        }
        let (mut init, alive) = on_a_thread(|| init_in_new_namespaces(init));
        let namespaces = Namespaces::of(init.id());
        let watchdog = watch(init.id(), &namespaces);
        wait_until_ready(&mut init);
        Self { namespaces, init, _alive: alive, _watchdog: watchdog }
    }

    /// A second machine on the same wire: `uplink` here has 192.0.2.1/24 and 2001:db8::1/64, `uplink` there
    /// 192.0.2.2 and 2001:db8::2. Once per host.
    #[must_use]
    pub fn neighbour(&self) -> Self {
        let other = Self::new();
        let pid = other.init.id();
        let veth = format!("ip link add uplink type veth peer name uplink netns {pid}");
        // The pid of the other's init is known outside only, so this must not enter our pid namespace.
        self.namespaces
            .enter_network_only(|| command(["sh", "-c", &veth]).status())
            .map(|status| assert!(status.success(), "`{veth}`: {status}"))
            .expect("run ip");
        for (host, number) in [(self, 1), (&other, 2)] {
            host.shell(&format!(
                "ip addr add 192.0.2.{number}/24 dev uplink
                 ip addr add 2001:db8::{number}/64 dev uplink nodad
                 ip link set uplink up"
            ));
        }
        // The kernel answers for IPv6 addresses some time after the link is up, and adds a route when it does.
        for host in [self, &other] {
            host.shell("until ip -6 route show table local dev uplink | grep -q 2001:db8::; do sleep 0.01; done");
        }
        other
    }

    /// Plugs the host's `uplink` into a bridge of another machine, where the port is called `port<number>`. It has that number at the
    /// end of 192.0.2.0 and, in hexadecimal, of `2001:db8::`.
    pub fn plug_into(&self, switch: &Self, bridge: &str, number: u8) {
        let pid = self.init.id();
        let veth = format!("ip link add port{number} master {bridge} up type veth peer name uplink netns {pid}");
        // The pid of the other's init is known outside only.
        let plugged = switch.namespaces.enter_network_only(|| command(["sh", "-c", &veth]).status());
        assert!(plugged.expect("run ip").success(), "`{veth}`");
        self.shell(&format!(
            "ip addr add 192.0.2.{number}/24 dev uplink
             ip addr add 2001:db8::{number:x}/64 dev uplink nodad
             ip link set uplink up
             until ip -6 route show table local dev uplink | grep -q 2001:db8::; do sleep 0.01; done"
        ));
    }

    /// Waits until no IPv6 address is looked for on its link any more: none of ours is, but the reference leaves it to the
    /// kernel, which lets nobody use the address meanwhile.
    #[track_caller]
    pub fn wait_for_ipv6(&self) {
        self.shell("while ip -6 addr show tentative | grep -q inet6; do sleep 0.05; done");
    }

    /// The host can use a gateway's address on a link at once, and its link-local one, without which it cannot ask there
    /// where the receiver of a packet is that it forwards.
    #[track_caller]
    pub fn assert_ipv6_is_usable(&self, link: &str) {
        let usable = self.shell(&format!("ip -6 -o address show dev {link} -tentative"));
        let scopes = ["global", "link"].map(|scope| usable.matches(&format!("scope {scope}")).count());
        assert_eq!(scopes, [1, 1], "{usable}");
    }

    /// A network namespace with nothing but `lo`, which is down: what a runtime makes before it calls
    /// plugins. `name` is also its container id.
    #[must_use]
    #[track_caller]
    pub fn container(&self, name: &str) -> Container {
        self.run(["ip", "netns", "add", name]);
        self.container_at(name, &Path::new("/run/netns").join(name))
    }

    /// The network namespace that somebody else, a runtime, made at `netns`.
    #[must_use]
    pub fn container_at(&self, id: &str, netns: &Path) -> Container {
        let network = self
            .namespaces
            .enter(|| File::open(netns))
            .unwrap_or_else(|error| panic!("open {}: {error}", netns.display()));
        Container { id: id.to_owned(), netns: netns.to_owned(), namespaces: self.namespaces.with_network(network) }
    }

    /// Destroys a container's namespace without any DEL, as a crash does, and waits until the kernel has
    /// taken the host's ends of its links away. What is returned has the id and the path, for DEL; nothing
    /// can be run in it.
    #[must_use]
    pub fn lose(&self, container: Container) -> Container {
        let host_ends = container.host_ends();
        let Container { id, netns, namespaces } = container;
        self.run(["ip", "netns", "del", &id]);
        drop(namespaces);
        self.wait_until_gone(&host_ends);
        Container { id, netns, namespaces: self.namespaces.clone() }
    }

    /// Waits until the host has no links with these indexes: the kernel takes them away some time after the
    /// last process of a namespace has ended.
    ///
    /// # Panics
    /// If they do not go.
    #[track_caller]
    pub fn wait_until_gone(&self, links: &[u64]) {
        let start = Instant::now();
        while self.namespaces.enter(|| links.iter().any(|index| has_link(*index))) {
            assert!(start.elapsed() < PATIENCE, "links {links:?} are still there");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Prepares one run of a plugin.
    #[must_use]
    pub fn cni(&self, plugin: &str) -> Cni<'_> {
        Cni::new(self, plugin)
    }

    /// Runs the command `ferrocni` with these arguments to its end; its plugins are those under test.
    ///
    /// # Panics
    /// If it is not built.
    #[track_caller]
    pub fn ferrocni<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        let (plugins, program) = (format!("CNI_PATH={}", bin_dir().display()), bin_dir().join("ferrocni"));
        let before = ["env".into(), plugins.into(), program.into_os_string()];
        self.try_run(before.into_iter().chain(args.into_iter().map(|arg| arg.as_ref().to_owned())))
    }

    /// A network configuration list (its JSON), run as libcni runs it. A `cniVersion` is added if there is none.
    #[must_use]
    pub fn chain(&self, conflist: &Value) -> Chain<'_> {
        Chain::new(self, conflist)
    }

    /// Writes a file in the host, for instance below `/run` or `/etc/cni`, with its folders.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        let (path, contents) = (path.as_ref(), contents.as_ref());
        self.namespaces
            .enter(|| {
                fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
                fs::write(path, contents)
            })
            .expect("write a file in a test host");
    }

    /// Reads a file of the host.
    ///
    /// # Errors
    /// That of reading.
    pub fn read(&self, path: impl AsRef<Path>) -> std::io::Result<String> {
        let path = path.as_ref();
        self.namespaces.enter(|| fs::read_to_string(path))
    }

    /// What the host and its containers have now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }

    /// Does something and requires that afterwards everything is as it was before, with the exceptions
    /// that [`Snapshot::leftovers`] names.
    #[track_caller]
    pub fn assert_leaves_nothing<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.snapshot();
        let result = work();
        self.snapshot().assert_nothing_since(&before);
        result
    }
}

impl Inside for Host {
    fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The kernel kills everybody in the pid namespace before it lets init go.
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}

/// A network namespace in a [`Host`].
#[derive(Debug)]
pub struct Container {
    /// The container's id (`CNI_CONTAINERID`).
    pub id: String,
    /// The namespace's path in the host, for CNI_NETNS.
    pub netns: PathBuf,
    namespaces: Namespaces,
}

impl Container {
    /// The indexes of the host's links whose other ends are in here.
    #[must_use]
    pub fn host_ends(&self) -> Vec<u64> {
        let links = self.ip_json(["-d", "link"]);
        let ends = links.as_array().into_iter().flatten().filter(|link| link["linkinfo"]["info_kind"] == "veth");
        ends.filter_map(|link| link["link_index"].as_u64()).collect()
    }
}

impl Inside for Container {
    fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
}

fn has_link(index: u64) -> bool {
    let links = fs::read_dir("/sys/class/net").expect("a host has /sys");
    let is_it = |path: PathBuf| fs::read_to_string(path.join("ifindex")).is_ok_and(|i| i.trim() == index.to_string());
    links.flatten().any(|link| is_it(link.path()))
}

/// The first process of a host's pid namespace.
#[derive(Clone, Copy)]
enum Init {
    /// Reaps the orphans that runtimes and plugins leave.
    Tini,
    /// Reaps nothing.
    Cat,
}

/// Unshares everything on the calling thread and starts init, who is the first in the new pid namespace.
fn init_in_new_namespaces(init: Init) -> (Child, ChildStdin) {
    use CloneFlags as Clone;
    let new =
        Clone::CLONE_NEWNET | Clone::CLONE_NEWNS | Clone::CLONE_NEWPID | Clone::CLONE_NEWUTS | Clone::CLONE_NEWIPC;
    unshare(new).unwrap_or_else(|errno| panic!("make namespaces, which needs CAP_SYS_ADMIN: {errno}"));
    mount_private_folders();
    start_init(init)
}

/// The thread's own mount namespace gets the private folders, and a `/sys` that shows the new network
/// namespace's links. A fresh `/sys` hides the cgroups, so the machine's are carried over.
fn mount_private_folders() {
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    attach(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    for folder in PRIVATE {
        attach(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty());
    }
    fs::create_dir("/run/cgroup").expect("an empty /run takes a folder");
    attach(Some("/sys/fs/cgroup"), "/run/cgroup", None, bind);
    attach(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty());
    attach(Some("/run/cgroup"), "/sys/fs/cgroup", None, MsFlags::MS_MOVE);
    fs::remove_dir("/run/cgroup").expect("the cgroups have moved away");
}

fn attach(source: Option<&str>, target: &str, kind: Option<&str>, flags: MsFlags) {
    mount(source, target, kind, flags, None::<&str>)
        .unwrap_or_else(|errno| panic!("mount {kind:?} {source:?} on {target}: {errno}"));
}

/// IPv4's settings are copied from the machine's by the kernel, so forwarding is switched off by hand. The settings that no namespace
/// has for itself are the machine's, which no test may change.
fn start_init(init: Init) -> (Child, ChildStdin) {
    let script = "mount -t proc proc /proc; ip link set lo up
        for machine in fs kernel vm; do mount -o bind,ro /proc/sys/$machine /proc/sys/$machine; done
        echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
        mkdir -p /run/netns /run/lock; echo ready; exec cat >/dev/null";
    let shell = ["sh", "-euc", script];
    let mut init = match init {
        Init::Tini => command([&["tini", "--"], &shell[..]].concat()),
        Init::Cat => command(shell),
    };
    let mut init = init.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run a host's init");
    let alive = init.stdin.take().expect("stdin is a pipe");
    (init, alive)
}

fn wait_until_ready(init: &mut Child) {
    let mut line = String::new();
    let stdout = init.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("read from a host's init");
    assert_eq!(line, "ready\n", "a test host did not start");
}

/// Ends the host when its lifetime is over, so that a program that hangs fails its test.
fn watch(init: u32, namespaces: &Namespaces) -> Sender<()> {
    let (sender, receiver) = channel::<()>();
    let namespaces = namespaces.clone();
    let watchdog = thread::Builder::new().name("watchdog".into());
    let watching = watchdog.spawn(move || {
        if receiver.recv_timeout(LIFETIME) == Err(RecvTimeoutError::Timeout) {
            eprintln!("a test host (init {init}) outlived {LIFETIME:?} and is ended");
            let _ = namespaces.enter(|| command(["sh", "-c", "kill -9 -1"]).status());
        }
    });
    let _ = watching.expect("start a thread");
    sender
}
