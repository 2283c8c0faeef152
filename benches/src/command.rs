//! What the command `ferrocni` takes of a person's time, on a host with many networks and attachments. It has no other side: the
//! reference has no command, and those of engines need their engines.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::Options;
use crate::statistics::Summary;

/// Where the host has its networks.
const NETWORKS: &str = "/run/net.d";
/// The network that containers are attached to.
const NETWORK: &str = "net0";

/// What was measured, each with its name.
pub(crate) struct Rows(Vec<(String, Summary)>);

/// Where it is recorded what containers are called. With the last record the DNS server ends, which would outlive this program.
const NAMES: &str = "/run/ferrocni/names";

/// Measures on a host of its own, with the programs in the folder `programs`.
pub(crate) fn measure(programs: &Path, options: &Options) -> Result<Rows> {
    let host = Host::new()?;
    let measured = measure_on(&host, &Ferrocni { programs }, options);
    let ended = host.run(|| fs::remove_dir_all(NAMES).map_err(Error::file(NAMES)));
    // What went wrong before says more.
    measured.and_then(|rows| ended.map(|()| rows))
}

fn measure_on(host: &Host, ferrocni: &Ferrocni<'_>, options: &Options) -> Result<Rows> {
    let mut rows = Rows(Vec::new());
    host.run(|| {
        for number in 0..options.networks {
            ferrocni.run(&["network", "create", &format!("net{number}")])?;
        }
        rows.add("a process that does nothing", options.rounds, || timed(&mut Command::new("true")))?;
        let networks = format!("network ls, {} networks", options.networks);
        rows.add(networks, options.rounds, || ferrocni.timed(&["network", "ls"]))?;
        rows.add("a program's own start", options.rounds, || start_of(&mut Command::new("date")))?;
        for (name, words) in [
            ("the same under run, --network none", &["--network", "none"][..]),
            ("the same on a bridge network", &["--network", NETWORK]),
            ("the same with a published port", &["--network", NETWORK, "--publish", "8080:80"]),
        ] {
            let run = || ferrocni.command(&[&["run"], words, &["date"]].concat());
            rows.add(name, options.rounds, || start_of(&mut run()))?;
        }
        Ok(())
    })?;
    let namespaces: Vec<_> =
        (0..options.attached).map(|number| host.add_namespace(&format!("c{number}"))).collect::<Result<_>>()?;
    host.run(|| {
        for namespace in &namespaces {
            ferrocni.run(&["network", "connect", NETWORK, &namespace.display().to_string()])?;
        }
        let many = |name: &str| format!("{name}, {} attachments", options.attached);
        let few = options.rounds.div_ceil(4);
        rows.add(many("network ls"), options.rounds, || ferrocni.timed(&["network", "ls"]))?;
        rows.add(many("reload after a flush"), few, || {
            succeed(Command::new("nft").args(["flush", "ruleset"]))?;
            ferrocni.timed(&["reload"])
        })?;
        for format in ["tree", "svg"] {
            let name = many(&format!("topology --format {format}"));
            rows.add(name, few, || ferrocni.timed(&["topology", "--format", format]))?;
        }
        rows.add(many("metrics"), few, || ferrocni.timed(&["metrics"]))
    })?;
    Ok(rows)
}

impl Rows {
    /// Adds what `measure` says, in seconds, so many times.
    fn add(&mut self, name: impl Into<String>, rounds: usize, measure: impl Fn() -> Result<f64>) -> Result<()> {
        let measured = (0..rounds).map(|_| measure()).collect::<Result<Vec<_>>>()?;
        self.0.push((name.into(), Summary::of(&measured).ok_or(Error::NothingMeasured)?));
        Ok(())
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<52} {:>9}  {:>18}", "the command, ms", "median", "(quartiles)")?;
        for (name, Summary { median, lower_quartile, upper_quartile }) in &self.0 {
            let [median, lower, upper] = [median, lower_quartile, upper_quartile].map(|seconds| seconds * 1e3);
            writeln!(f, "  {name:<50} {median:>9.1}  {:>18}", format!("({lower:.1}-{upper:.1})"))?;
        }
        Ok(())
    }
}

/// The command with its plugins beside it.
struct Ferrocni<'a> {
    programs: &'a Path,
}

impl Ferrocni<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("ferrocni"));
        command.args(words).env("CNI_PATH", self.programs).env("NETCONFPATH", NETWORKS);
        command
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        succeed(&mut self.command(words)).map(drop)
    }

    fn timed(&self, words: &[&str]) -> Result<f64> {
        timed(&mut self.command(words))
    }
}

/// How long it takes, in seconds.
fn timed(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    succeed(command)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Until a program that tells the time has been started, by the command that ends with it.
fn start_of(command: &mut Command) -> Result<f64> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let printed = succeed(command.arg("+%s.%N"))?.stdout;
    let told = String::from_utf8_lossy(&printed).trim().parse::<f64>().map_err(|_| Error::NothingMeasured)?;
    Ok(told - start.as_secs_f64())
}

fn succeed(command: &mut Command) -> Result<Output> {
    let program = Path::new(command.get_program()).to_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(Error::file(&program))?;
    let Output { status, .. } = output;
    if status.success() { Ok(output) } else { Err(Error::Command { program, status }) }
}
