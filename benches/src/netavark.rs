//! `netavark`, ours and Debian 13's, as Podman 5 calls it: a container on a bridge with two published ports comes and goes.

mod crowd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Failure, Result};
use crate::host::{Host, lay_over};
use crate::parallel::at_once;
use crate::statistics::Pairs;
use crate::suite::{PATH, converse};

/// Where Debian has it, below `/usr`.
const OF_DEBIAN: &str = "/usr/lib/podman/netavark";

/// Where Podman has it keep what it has to remember.
const STATE: &str = "/run/containers/networks";

/// What the kernel puts off when links and rules go must not fall into the next measurement.
const SETTLE: Duration = Duration::from_millis(20);

/// Where to find the program of one side.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// This file.
    Ours(PathBuf),
    /// Debian 13's, whose programs and libraries are in this `/usr`.
    Debian(PathBuf),
}

/// One side: a host with a container that stays, and another one that comes and goes.
pub(crate) struct Side {
    host: Host,
    program: Program,
    namespace: PathBuf,
}

/// A container as Podman describes it.
struct Container<'a> {
    namespace: &'a Path,
    options: Value,
}

/// A network of Podman's on a bridge of the same name.
struct Network {
    name: String,
    /// The second number of its addresses.
    number: u8,
}

/// Setup and teardown on two sides.
#[derive(Default)]
pub(crate) struct Verbs {
    pub(crate) setup: Pairs,
    pub(crate) teardown: Pairs,
}

/// Many setups at once, and their teardowns.
pub(crate) struct Rush {
    /// Seconds from the first setup's start to the last one's end.
    pub(crate) setup: f64,
    /// The same of their teardowns.
    pub(crate) teardown: f64,
    /// How many setups and how many teardowns succeeded.
    pub(crate) succeeded: [usize; 2],
    /// Why the first that failed did.
    pub(crate) failure: Option<Failure>,
}

impl Program {
    fn path(&self) -> &Path {
        match self {
            Self::Ours(path) => path,
            Self::Debian(_) => Path::new(OF_DEBIAN),
        }
    }
}

impl Side {
    /// A host in use: one container with two ports is there.
    pub(crate) fn new(program: &Program) -> Result<Self> {
        let host = Host::new()?;
        host.run(|| {
            fs::create_dir_all(STATE).map_err(Error::file(STATE))?;
            match program {
                Program::Ours(_) => Ok(()),
                Program::Debian(usr) => lay_over(usr),
            }
        })?;
        let namespace = host.add_namespace("probe")?;
        let side = Self { host, program: program.clone(), namespace };
        let neighbour = side.host.add_namespace("neighbour")?;
        side.call("setup", &bench().container("neighbour", &neighbour, 2, [7000, 7001]))?;
        Ok(side)
    }

    /// The same with `others` more containers, each with two ports.
    pub(crate) fn crowded(program: &Program, others: u16) -> Result<Self> {
        let side = Self::new(program)?;
        crowd::fill(&side, others)?;
        Ok(side)
    }

    fn call(&self, verb: &'static str, container: &Container<'_>) -> Result<Duration> {
        self.host.run(|| call(&self.program, verb, container))
    }

    /// Setup and teardown of the container that comes and goes.
    fn come_and_go(&self) -> Result<(Duration, Duration)> {
        let probe = bench().container("probe", &self.namespace, 60_000, [8080, 8443]);
        thread::sleep(SETTLE);
        let setup = self.call("setup", &probe)?;
        thread::sleep(SETTLE);
        Ok((setup, self.call("teardown", &probe)?))
    }
}

/// Measures the two sides in turn, `rounds` times after one round that does not count. Who goes first changes.
pub(crate) fn take_turns(sides: [&Side; 2], rounds: usize) -> Result<Verbs> {
    let mut verbs = Verbs::default();
    for round in 0..=rounds {
        let first = round % 2;
        let measured = (sides[first].come_and_go()?, sides[1 - first].come_and_go()?);
        let (ours, theirs) = if first == 0 { measured } else { (measured.1, measured.0) };
        if round > 0 {
            verbs.setup.push(ours.0.as_secs_f64(), theirs.0.as_secs_f64());
            verbs.teardown.push(ours.1.as_secs_f64(), theirs.1.as_secs_f64());
        }
    }
    Ok(verbs)
}

/// Setup of `count` containers at once, and then teardown of them all. The side is handed back, to be dropped when nothing is
/// measured any more.
pub(crate) fn rush(program: &Program, count: u16) -> Result<(Rush, Side)> {
    let side = Side::new(program)?;
    let namespaces: Vec<_> =
        (0..count).map(|number| side.host.add_namespace(&format!("rush-{number}"))).collect::<Result<_>>()?;
    let containers: Vec<_> =
        namespaces.iter().zip(0..).map(|(namespace, number)| crowd::member(namespace, number)).collect();
    let rush = side.host.run(|| {
        let (setup, set_up) = at_once(&containers, |container| call(&side.program, "setup", container));
        let (teardown, torn_down) = at_once(&containers, |container| call(&side.program, "teardown", container));
        let succeeded = [&set_up, &torn_down].map(|all| all.iter().filter(|outcome| outcome.is_ok()).count());
        let failure = set_up.into_iter().chain(torn_down).filter_map(Result::err).next();
        let failure = match failure {
            None => None,
            Some(Error::Plugin(failure)) => Some(failure),
            Some(other) => return Err(other),
        };
        Ok(Rush { setup, teardown, succeeded, failure })
    })?;
    Ok((rush, side))
}

/// The network of the containers that are measured.
fn bench() -> Network {
    Network { name: "bench".into(), number: 88 }
}

impl Network {
    /// A container on it by `eth0`, whose address is the network's with that number, with these host ports for 80 and 443.
    fn container<'a>(&self, id: &str, namespace: &'a Path, address: u16, ports: [u16; 2]) -> Container<'a> {
        self.container_by("eth0", id, namespace, address, ports)
    }

    fn container_by<'a>(
        &self,
        interface: &str,
        id: &str,
        namespace: &'a Path,
        address: u16,
        [first, second]: [u16; 2],
    ) -> Container<'a> {
        let [high, low] = address.to_be_bytes();
        let address = format!("10.{}.{high}.{low}", self.number);
        let mapping = |host: u16, container: u16| json!({"host_ip": "", "host_port": host, "container_port": container, "range": 1, "protocol": "tcp"});
        let options = json!({
            "container_id": identified(id),
            "container_name": id,
            "port_mappings": [mapping(first, 80), mapping(second, 443)],
            "networks": {&self.name: {"interface_name": interface, "static_ips": [address]}},
            "network_info": {&self.name: self.described()},
        });
        Container { namespace, options }
    }

    fn described(&self) -> Value {
        json!({
            "name": self.name,
            "id": identified(&self.name),
            "driver": "bridge",
            "network_interface": self.name,
            "created": "2026-11-26T16:54:27.040181097Z",
            "subnets": [{"subnet": format!("10.{}.0.0/16", self.number), "gateway": format!("10.{}.0.1", self.number)}],
            "ipv6_enabled": false,
            "internal": false,
            "dns_enabled": false,
            "options": {"no_default_route": (self.number != bench().number).to_string()},
            "ipam_options": {"driver": "host-local"},
        })
    }
}

/// What Podman has as ids: 64 hexadecimal digits.
fn identified(name: &str) -> String {
    let digits: String = name.bytes().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

/// One run, from before the start to after the end, where the calling thread is.
fn call(program: &Program, verb: &'static str, container: &Container<'_>) -> Result<Duration> {
    let path = program.path();
    let input = container.options.to_string();
    let mut command = Command::new(path);
    command.args(["--config", STATE, "--rootless=false", verb]).arg(container.namespace);
    command.env_clear().env("PATH", PATH).env("NETAVARK_FW", "nftables");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().map_err(Error::file(path))?;
    let answer = converse(&mut child, input.as_bytes());
    let status = child.wait().map_err(Error::file(path))?;
    let elapsed = started.elapsed();
    let output = answer.map_err(Error::file(path))?;
    if status.success() {
        return Ok(elapsed);
    }
    let answer: Value = serde_json::from_slice(&output).unwrap_or(Value::Null);
    let message = answer["error"].as_str().map_or_else(|| format!("ended with {status}"), str::to_owned);
    Err(Failure { program: path.display().to_string(), verb, message }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_described_as_podman_describes_it() {
        let container = bench().container("one", Path::new("/run/netns/one"), 258, [8080, 8443]);
        let options = &container.options;
        assert_eq!(options["networks"]["bench"]["static_ips"][0], "10.88.1.2");
        assert_eq!(options["port_mappings"][1]["host_port"], 8443);
        assert_eq!(options["network_info"]["bench"]["subnets"][0]["gateway"], "10.88.0.1");
        assert_eq!(options["container_id"].as_str().map(str::len), Some(64));
    }
}
