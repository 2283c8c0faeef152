//! Two hosts on a wire, an etcd of one member on the first of them, and agents.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agent_json;
use crate::error::{Error, Result};
use crate::host::{Host, WIRE};
use crate::networks;
use crate::suite::Suite;

/// Longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(5);

/// Where etcd is on its own host, and, on another, who passes on to it: without certificates agents take nothing from elsewhere.
pub(super) const ETCD: &str = "http://127.0.0.1:2379";

/// A program that runs until this is dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(host: &Host, command: &mut Command) -> Result<Self> {
        let program = Path::new(command.get_program()).to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        host.run(|| command.spawn().map(Self).map_err(Error::file(program)))
    }

    /// Seconds of a processor that its threads have had.
    pub(super) fn processor(&self) -> Result<f64> {
        let folder = format!("/proc/{}/task", self.0.id());
        let failed = || Error::file(folder.clone());
        let mut nanoseconds = 0;
        for thread in fs::read_dir(&folder).map_err(failed())? {
            let path = thread.map_err(failed())?.path().join("schedstat");
            let text = fs::read_to_string(path).unwrap_or_default();
            nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// Bytes of its resident set: now, and at the most.
    pub(super) fn memory(&self) -> Result<[f64; 2]> {
        let path = format!("/proc/{}/status", self.0.id());
        let text = fs::read_to_string(&path).map_err(Error::file(path))?;
        let of = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse().ok())
        };
        Ok(["VmRSS:", "VmHWM:"].map(|key| of(key).unwrap_or(0.0) * 1024.0))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An etcd on a host of its own, or on one with others.
pub(super) fn start_etcd(host: &Host) -> Result<Process> {
    let mut command = Command::new("etcd");
    command.args(["--data-dir=/run/etcd", "--log-level=error", "--listen-peer-urls=http://127.0.0.1:2380"]);
    command.args(["--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://127.0.0.1:2379"]);
    let etcd = Process::start(host, &mut command)?;
    let answers = || host.run(|| Ok(std::net::TcpStream::connect("127.0.0.1:2379").is_ok()));
    until("etcd answers", answers)?;
    Ok(etcd)
}

/// An agent whose etcd is on its own host, or seems to be.
pub(super) fn start_agent(host: &Host, ours: &Suite, name: &str) -> Result<Process> {
    const PATH: &str = "/run/overlay.json";
    let configuration = json!({"endpoints": [ETCD], "underlay": WIRE, "name": name});
    host.run(|| fs::write(PATH, configuration.to_string()).map_err(Error::file(PATH)))?;
    Process::start(host, Command::new(ours.path("ferrocni-overlay")).args(["--config", PATH]))
}

/// What a host's agent says of itself.
pub(super) fn agent(host: &Host) -> Result<Value> {
    let text = host.run(|| Ok(fs::read(agent_json()).unwrap_or_default()))?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

pub(super) fn wait_until_connected(host: &Host, connected: bool) -> Result<()> {
    until("an agent knows of etcd", || Ok(agent(host)?["connected"] == json!(connected)))
}

/// Waits until something is so.
pub(super) fn until(what: &'static str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > PATIENCE {
            return Err(Error::Overdue { what });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Creates the network that is measured, by the agent of this host.
pub(super) fn create(host: &Host, ours: &Suite, arguments: &[&str]) -> Result<()> {
    let program = ours.path("ferrocni");
    let mut command = Command::new(&program);
    command.args(["network", "create", "-d", "overlay"]).args(arguments).arg(networks::OVERLAY);
    command.env("CNI_PATH", program.parent().unwrap_or(&program)).env("NETCONFPATH", "/run/net.d");
    let status = host.run(|| command.stdout(Stdio::null()).status().map_err(Error::file(&program)))?;
    if status.success() { Ok(()) } else { Err(Error::Command { program, status }) }
}

/// The hosts with what runs on them.
pub(super) struct Cluster {
    suite: Suite,
    etcd: Option<Process>,
    _others: Vec<Process>,
    pub(super) hosts: [Host; 2],
}

impl Cluster {
    pub(super) fn new(suite: &Suite) -> Result<Self> {
        let hosts = [Host::new()?, Host::new()?];
        hosts[0].connect(&hosts[1])?;
        let etcd = Some(start_etcd(&hosts[0])?);
        let mut socat = Command::new("socat");
        socat.args(["TCP-LISTEN:2379,bind=127.0.0.1,reuseaddr,fork", "TCP:192.0.2.1:2379"]);
        let relay = Process::start(&hosts[1], &mut socat)?;
        let agents = [start_agent(&hosts[0], suite, "one")?, start_agent(&hosts[1], suite, "two")?];
        hosts.iter().try_for_each(|host| wait_until_connected(host, true))?;
        let others = std::iter::once(relay).chain(agents).collect();
        Ok(Self { suite: suite.clone(), etcd, _others: others, hosts })
    }

    pub(super) fn create(&self, arguments: &[&str]) -> Result<()> {
        create(&self.hosts[0], &self.suite, arguments)
    }

    /// Ends etcd; both agents know when this returns.
    pub(super) fn stop_etcd(&mut self) -> Result<()> {
        self.etcd = None;
        self.hosts.iter().try_for_each(|host| wait_until_connected(host, false))
    }
}
