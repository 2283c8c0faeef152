//! What a packet pays, with few containers on the host and with many: users feel that for as long as a container runs.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::host::{Host, PUBLIC};
use crate::networks;
use crate::statistics::{Pairs, Summary};
use crate::suite::{Container, Suite, first_address};

/// How many connections a measurement makes; the kernel completes that many before a server has to accept one.
const CONNECTIONS: usize = 100;
/// Longer than any connection should take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often iperf3 is tried while its server starts, 20 ms apart.
const TRIES: usize = 100;

/// Where the container in the middle listens, and where it is published.
const PORT: u16 = 80;
const PUBLISHED: u16 = 8080;

/// What was measured on both sides.
#[derive(Default)]
pub(crate) struct Paid {
    /// Seconds until a connection from another host to a published port stands.
    pub(crate) connect: Pairs,
    /// Bits in a second from the host into a container.
    pub(crate) inward: Pairs,
    /// Bits in a second from one container to another on the same bridge.
    pub(crate) across: Pairs,
}

/// Measures beside `others` containers, the sides in turn.
pub(crate) fn paid(sides: &[Suite; 2], others: u16, rounds: usize) -> Result<Paid> {
    let crowds = [Crowd::new(&sides[0], others)?, Crowd::new(&sides[1], others)?];
    let mut paid = Paid::default();
    for round in 0..rounds {
        paid.connect.measure(crowds.each_ref(), round, Crowd::connect)?;
        paid.inward.measure(crowds.each_ref(), round, |crowd| crowd.stream(None))?;
        paid.across.measure(crowds.each_ref(), round, |crowd| crowd.stream(Some(&crowd.client)))?;
    }
    Ok(paid)
}

/// A host on a wire to another, with a client and a server on a network that came after many others.
struct Crowd {
    host: Host,
    outside: PathBuf,
    client: PathBuf,
    server: PathBuf,
    address: Ipv4Addr,
}

impl Crowd {
    fn new(suite: &Suite, others: u16) -> Result<Self> {
        let host = Host::new()?;
        let outside = host.add_neighbour()?;
        fill(&host, suite, others)?;
        let (client, _) = attach(&host, suite, "client", Vec::new())?;
        let (server, address) = attach(&host, suite, "server", vec![(PUBLISHED, PORT)])?;
        Ok(Self { host, outside, client, server, address })
    }

    /// The median of the times until a connection stands.
    fn connect(&self) -> Result<f64> {
        let failed = || Error::file("a connection to a published port");
        let _listener =
            self.host.inside(&self.server, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(failed()))?;
        let to = SocketAddr::from((PUBLIC, PUBLISHED));
        let connect = |_| {
            let started = Instant::now();
            TcpStream::connect_timeout(&to, PATIENCE).map_err(failed())?;
            Ok(started.elapsed().as_secs_f64())
        };
        let times = self.host.inside(&self.outside, || (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>>>())?;
        Ok(Summary::of(&times).ok_or(Error::NothingMeasured)?.median)
    }

    /// What iperf3 says about a second from a container, or from the host, to the server.
    fn stream(&self, from: Option<&Path>) -> Result<f64> {
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let serve = || quiet(Command::new("iperf3").args(["--server", "--one-off"])).map_err(Error::file("iperf3"));
        let mut server = self.host.inside(&self.server, serve)?;
        let measure = || stream_to(self.address);
        let measured = match from {
            Some(namespace) => self.host.inside(namespace, measure),
            None => self.host.run(measure),
        };
        if measured.is_err() {
            let _ = server.kill();
        }
        server.wait().map_err(Error::file("iperf3"))?;
        measured
    }
}

/// Bits in a second of one TCP stream to an iperf3 there, which may still be starting.
pub(crate) fn stream_to(address: Ipv4Addr) -> Result<f64> {
    for _ in 0..TRIES {
        let mut command = Command::new("iperf3");
        command.args(["--time", "1", "--json", "--client", &address.to_string()]);
        let output = command.output().map_err(Error::file("iperf3"))?;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if let Some(rate) = report["end"]["sum_received"]["bits_per_second"].as_f64() {
            return Ok(rate);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(Error::NothingMeasured)
}

/// Attaches a container by the whole chain; its namespace and its address.
fn attach(host: &Host, suite: &Suite, id: &str, ports: Vec<(u16, u16)>) -> Result<(PathBuf, Ipv4Addr)> {
    let namespace = host.add_namespace(id)?;
    let container = Container { id: id.into(), namespace: namespace.clone(), ports };
    let result = host.run(|| suite.add(&networks::published(), &container))?.outcome;
    host.inside(&namespace, || crate::host::ip(&["link", "set", "lo", "up"]))?;
    Ok((namespace, first_address(&result).ok_or(Error::NothingMeasured)?))
}

/// Puts the rules of `count` containers with a published port each on the host, as `portmap` and `firewall` make them. The
/// containers themselves are not needed, and their namespaces would take minutes to go.
///
/// Where the plugins' rules are iptables', one container's are repeated for the others: making them one by one takes the longer
/// the more there are, and for thousands hours.
fn fill(host: &Host, suite: &Suite, count: u16) -> Result<()> {
    let namespace = host.add_namespace("others")?;
    let add = |number| {
        let other = Other::numbered(number);
        let container = Container { id: other.id, namespace: namespace.clone(), ports: vec![(other.port, PORT)] };
        let told = json!({"cniVersion": "1.0.0", "ips": [{"address": format!("{}/16", other.address)}]});
        suite.add_after(&networks::told(), &container, told).map(drop)
    };
    host.run(|| {
        // The first brings the chains that all share.
        let first = 1.min(count);
        (0..first).try_for_each(add)?;
        let shared = saved()?;
        (first..2.min(count)).try_for_each(add)?;
        let rules = Rules::added(&shared, &saved()?);
        if rules.is_empty() { (2..count).try_for_each(add) } else { rules.repeat(2..count) }
    })
}

/// A container of which there are only rules.
struct Other {
    id: String,
    address: Ipv4Addr,
    port: u16,
}

impl Other {
    fn numbered(number: u16) -> Self {
        let [high, low] = (number + 256).to_be_bytes();
        Self { id: format!("other-{number}-"), address: Ipv4Addr::new(10, 99, high, low), port: 10_000 + number }
    }
}

fn saved() -> Result<String> {
    let output = Command::new("iptables-save").stderr(Stdio::null()).output().map_err(Error::file("iptables-save"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What container 1 has in iptables: lines of `iptables-save`, with the table that each is in.
#[derive(Debug, PartialEq)]
struct Rules(Vec<(String, String)>);

impl Rules {
    fn added(before: &str, after: &str) -> Self {
        let known: HashSet<_> = in_tables(before).into_iter().map(without_counters).collect();
        Self(in_tables(after).into_iter().map(without_counters).filter(|line| !known.contains(line)).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the same for other containers.
    fn repeat(&self, numbers: impl Iterator<Item = u16>) -> Result<()> {
        let mut restore = Command::new("iptables-restore");
        let mut child =
            restore.arg("--noflush").stdin(Stdio::piped()).spawn().map_err(Error::file("iptables-restore"))?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(self.written_for(numbers).as_bytes()).map_err(Error::file("iptables-restore"))?;
        }
        let status = child.wait().map_err(Error::file("iptables-restore"))?;
        if status.success() { Ok(()) } else { Err(Error::Tool { program: "iptables-restore", status }) }
    }

    fn written_for(&self, numbers: impl Iterator<Item = u16>) -> String {
        let numbers: Vec<_> = numbers.collect();
        let tables: Vec<&str> =
            self.0.iter().map(|(table, _)| table.as_str()).collect::<HashSet<_>>().into_iter().collect();
        let mut text = String::new();
        for table in tables {
            let lines = || self.0.iter().filter(|(of, _)| of == table).map(|(_, line)| line);
            // Chains come before rules.
            for begins in [':', '-'] {
                let lines = lines().filter(|line| line.starts_with(begins));
                let heading = if begins == ':' { format!("*{table}\n") } else { String::new() };
                text.push_str(&heading);
                for line in lines {
                    for number in &numbers {
                        let _ = writeln!(text, "{}", self.renamed(line, *number));
                    }
                }
            }
            text.push_str("COMMIT\n");
        }
        text
    }

    /// Container 1's line as another's.
    fn renamed(&self, line: &str, number: u16) -> String {
        let (one, other) = (Other::numbered(1), Other::numbered(number));
        let line = line.replace(&one.id, &other.id).replace(&one.address.to_string(), &other.address.to_string());
        let line = line.replace(&one.port.to_string(), &other.port.to_string());
        let own = self.0.iter().filter_map(|(_, line)| line.strip_prefix(':')?.split(' ').next());
        own.enumerate().fold(line, |line, (chain, name)| line.replace(name, &format!("CNI-{chain}-{number}")))
    }
}

fn in_tables(saved: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in saved.lines() {
        match line.strip_prefix('*') {
            Some(name) => name.clone_into(&mut table),
            None if line.starts_with([':', '-']) => lines.push((table.clone(), line.to_owned())),
            None => {}
        }
    }
    lines
}

/// A chain's counters of packets change by themselves.
fn without_counters((table, line): (String, String)) -> (String, String) {
    let line =
        line.split(" [").next().filter(|_| line.starts_with(':')).map_or(line.clone(), |name| format!("{name} [0:0]"));
    (table, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "*nat\n:CNI-HOSTPORT-DNAT - [1:60]\nCOMMIT\n";
    const AFTER: &str = "*nat\n:CNI-DN-abc - [0:0]\n:CNI-HOSTPORT-DNAT - [2:120]\n\
        -A CNI-HOSTPORT-DNAT -m comment --comment \"id: other-1-\" --dports 10001 -j CNI-DN-abc\n\
        -A CNI-DN-abc -p tcp --dport 10001 -j DNAT --to-destination 10.99.1.1:80\nCOMMIT\n";

    #[test]
    fn one_containers_rules_are_repeated_under_other_names() {
        let rules = Rules::added(BEFORE, AFTER);
        assert_eq!(
            rules.written_for(7..8),
            "*nat\n:CNI-0-7 - [0:0]\n\
             -A CNI-HOSTPORT-DNAT -m comment --comment \"id: other-7-\" --dports 10007 -j CNI-0-7\n\
             -A CNI-0-7 -p tcp --dport 10007 -j DNAT --to-destination 10.99.1.7:80\nCOMMIT\n"
        );
    }

    #[test]
    fn without_iptables_rules_there_is_nothing_to_repeat() {
        assert!(Rules::added(BEFORE, BEFORE).is_empty());
        assert!(Rules::added("", "").is_empty());
    }
}
