//! Servers of names, each on a host of its own, as its plugin or its engine uses it.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::networks;
use crate::suite::{Container, Network, Suite};

/// The container that comes and goes, and the name that is asked for.
const PROBE: &str = "newcomer";
pub(super) const NEW: &str = "newcomer.dns.podman";

/// A name that is answered.
pub(super) const KNOWN: &str = "c0.dns.podman";

/// The networks; which of them a name is on has to be known when the program is built, as that of any measured network.
pub(super) const NETWORKS: [&str; 20] = [
    "net00", "net01", "net02", "net03", "net04", "net05", "net06", "net07", "net08", "net09", "net10", "net11",
    "net12", "net13", "net14", "net15", "net16", "net17", "net18", "net19",
];

/// Where containers/dnsname has what its servers read, a folder a network.
const DNSNAME: &str = "/run/containers/cni/dnsname";
/// Where Podman has that of aardvark-dns, a file a network.
const AARDVARK: &str = "/run/containers/networks/aardvark-dns";

/// Which server, and what it comes with.
#[derive(Clone)]
pub(crate) enum Kind {
    /// ferrocni-dns and its plugin.
    Ours(Suite),
    /// dnsmasq, one a network, by containers/dnsname; with the reference's bridge.
    Dnsmasq(Suite),
    /// The program aardvark-dns; with the reference's bridge.
    Aardvark(Suite, PathBuf),
}

/// A server that answers, and a container that asks it.
pub(crate) struct Server {
    kind: Kind,
    pub(super) host: Host,
    pub(super) asker: PathBuf,
    pub(super) address: SocketAddr,
    /// What the plugin is told of the container that comes and goes.
    newcomer: (Container, Value),
    names: usize,
    processes: Vec<Pid>,
    child: Option<Child>,
}

impl Server {
    /// One that answers `names` names on so many networks.
    pub(super) fn new(kind: &Kind, names: usize, networks: usize) -> Result<Self> {
        let host = Host::new()?;
        let child = if let Kind::Ours(suite) = kind { Some(start_ours(&host, suite)?) } else { None };
        let mut first = Vec::new();
        for network in 0..networks {
            first.push(attach(kind, &host, "first", network)?);
        }
        let newcomer = prepare(kind, &host, PROBE, 0)?;
        let asker = first.swap_remove(0);
        let address = match kind {
            Kind::Ours(_) => ([127, 0, 0, 11], 53),
            _ => (gateway(0).octets(), 53),
        };
        let mut server = Self {
            kind: kind.clone(),
            host,
            asker,
            address: address.into(),
            newcomer,
            names: 0,
            processes: Vec::new(),
            child,
        };
        server.fill(names, networks)?;
        server.processes = server.find_processes(networks)?;
        super::client::wait_for(&server, KNOWN)?;
        Ok(server)
    }

    /// Has names answered, as many on each network.
    fn fill(&mut self, names: usize, networks: usize) -> Result<()> {
        self.names = names;
        if let Kind::Ours(_) = &self.kind {
            for name in 0..names {
                let (container, result) = prepare(&self.kind, &self.host, &format!("c{name}"), name % networks)?;
                self.run_dnsname(name % networks, &container, result)?;
            }
            return Ok(());
        }
        let lines = |network: usize| (network..names).step_by(networks).map(|name| (address(name), format!("c{name}")));
        self.host.run(|| {
            (0..networks).try_for_each(|network| match &self.kind {
                Kind::Aardvark(..) => write_aardvark(network, lines(network)),
                _ => append_dnsmasq(network, lines(network)),
            })
        })?;
        match &self.kind {
            Kind::Aardvark(_, program) => self.host.run(|| start_aardvark(program)),
            _ => self.find_processes(networks)?.into_iter().try_for_each(hang_up),
        }
    }

    /// Has another container's name answered.
    pub(super) fn announce(&self) -> Result<Option<Value>> {
        let (container, result) = &self.newcomer;
        if let Kind::Aardvark(..) = &self.kind {
            let names = (0..self.names).map(|name| (address(name), format!("c{name}")));
            let all = names.chain([(address(self.names), PROBE.to_owned())]);
            self.host.run(|| write_aardvark(0, all))?;
            self.processes.iter().copied().try_for_each(hang_up)?;
            return Ok(None);
        }
        self.run_dnsname(0, container, result.clone()).map(Some)
    }

    /// The container goes.
    pub(super) fn withdraw(&self, added: Option<Value>) -> Result<()> {
        match added {
            Some(result) => {
                let (suite, network) = (self.kind.suite(), dnsname(0));
                self.host.run(|| suite.del(&network, &self.newcomer.0, &result)).map(drop)
            }
            None => {
                let names = (0..self.names).map(|name| (address(name), format!("c{name}")));
                self.host.run(|| write_aardvark(0, names))?;
                self.processes.iter().copied().try_for_each(hang_up)
            }
        }
    }

    /// The bytes that its processes have for themselves, and their parts of what they share.
    pub(super) fn memory(&self) -> Result<f64> {
        let mut bytes = 0.0;
        for process in &self.processes {
            let path = format!("/proc/{process}/smaps_rollup");
            let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
            let share = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
            let share: f64 = share.and_then(|share| share.parse().ok()).ok_or(Error::NothingMeasured)?;
            bytes += share * 1024.0;
        }
        Ok(bytes)
    }

    fn run_dnsname(&self, network: usize, container: &Container, result: Value) -> Result<Value> {
        let (suite, network) = (self.kind.suite(), dnsname(network));
        Ok(self.host.run(|| suite.add_after(&network, container, result))?.outcome)
    }

    fn find_processes(&self, networks: usize) -> Result<Vec<Pid>> {
        let files: Vec<_> = match &self.kind {
            Kind::Ours(_) => {
                return Ok(self.child.iter().map(|child| Pid::from_raw(child.id().cast_signed())).collect());
            }
            Kind::Dnsmasq(_) => {
                (0..networks).map(|network| Path::new(DNSNAME).join(NETWORKS[network]).join("pidfile")).collect()
            }
            Kind::Aardvark(..) => vec![Path::new(AARDVARK).join("aardvark.pid")],
        };
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
            text.trim().parse().map(Pid::from_raw).map_err(|_| Error::NothingMeasured)
        };
        self.host.run(|| files.into_iter().map(read).collect())
    }
}

/// The servers of others do not know that the benchmark ends.
impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        for process in &self.processes {
            let _ = kill(*process, Signal::SIGTERM);
        }
    }
}

impl Kind {
    fn suite(&self) -> &Suite {
        match self {
            Self::Ours(suite) | Self::Dnsmasq(suite) | Self::Aardvark(suite, _) => suite,
        }
    }
}

fn start_ours(host: &Host, suite: &Suite) -> Result<Child> {
    let program = suite.path("ferrocni-dns");
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::file(&program))
    };
    host.run(|| {
        let child = quiet(&mut Command::new(&program))?;
        let socket = Path::new("/run/ferrocni/dns.sock");
        while !socket.exists() {
            std::thread::yield_now();
        }
        Ok(child)
    })
}

/// It goes on in the background once it listens.
fn start_aardvark(program: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.args(["--config", AARDVARK, "--port", "53", "run"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map_err(Error::file(program))?;
    Ok(())
}

/// Puts a container on the network with all that has to be there before names are: its namespace.
fn attach(kind: &Kind, host: &Host, name: &str, network: usize) -> Result<PathBuf> {
    let (container, result) = prepare(kind, host, &format!("{name}-{network}"), network)?;
    if !matches!(kind, Kind::Aardvark(..)) {
        host.run(|| kind.suite().add_after(&dnsname(network), &container, result))?;
    }
    Ok(container.namespace)
}

/// A container and the result of its interface plugin. Ours needs none of the reference's bridges: nothing of it is on the host.
fn prepare(kind: &Kind, host: &Host, name: &str, network: usize) -> Result<(Container, Value)> {
    let namespace = host.add_namespace(name)?;
    let container = Container { id: name.to_owned(), namespace: namespace.clone(), ports: Vec::new() };
    if let Kind::Ours(_) = kind {
        let number: usize = name.trim_start_matches(|other: char| !other.is_ascii_digit()).parse().unwrap_or(0);
        let result = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": namespace}],
            "ips": [{"address": format!("{}/8", address(number)), "interface": 0}],
            "routes": [{"dst": "0.0.0.0/0"}],
        });
        return Ok((container, result));
    }
    let bridge =
        networks::bridge_of(NETWORKS[network], &format!("names{network}"), &format!("10.{}.0.0/16", 100 + network));
    let result = host.run(|| kind.suite().add(&bridge, &container))?.outcome;
    host.inside(&namespace, || crate::host::ip(&["link", "set", "lo", "up"]))?;
    Ok((container, result))
}

fn dnsname(network: usize) -> Network {
    networks::names(NETWORKS[network])
}

#[expect(clippy::cast_possible_truncation, reason = "there are 20")]
fn gateway(network: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 100 + network as u8, 0, 1)
}

/// The address that the first container after the gateway has.
fn asker(network: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(gateway(network)) + 1)
}

/// An address for the container of that number, which is nobody else's.
#[expect(clippy::cast_possible_truncation, reason = "there are some thousands")]
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 10, 0, 1)) + number as u32)
}

fn append_dnsmasq(network: usize, names: impl Iterator<Item = (Ipv4Addr, String)>) -> Result<()> {
    let path = Path::new(DNSNAME).join(NETWORKS[network]).join("addnhosts");
    let mut text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    for (address, name) in names {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    fs::write(&path, text).map_err(Error::file(&path))
}

fn write_aardvark(network: usize, names: impl Iterator<Item = (Ipv4Addr, String)>) -> Result<()> {
    // It answers those alone that are on the network.
    let mut text = format!("{}\nfirst {}  first\n", gateway(network), asker(network));
    for (address, name) in names {
        let _ = writeln!(text, "{name} {address}  {name}");
    }
    fs::create_dir_all(AARDVARK).map_err(Error::file(AARDVARK))?;
    let path = Path::new(AARDVARK).join(NETWORKS[network]);
    fs::write(&path, text).map_err(Error::file(&path))
}

/// Has a server read its files again.
fn hang_up(process: Pid) -> Result<()> {
    match kill(process, Signal::SIGHUP) {
        Err(Errno::ESRCH) => Err(Error::NothingMeasured),
        outcome => outcome.map_err(Error::system("kill")),
    }
}
