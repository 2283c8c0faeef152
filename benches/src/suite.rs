//! Runs a chain of plugins as a container runtime does: a process for each, JSON on its standard input and output.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Failure, Result};
use crate::waiting::CALLS;

/// The newest version of the specification that both sides know.
const CNI_VERSION: &str = "1.0.0";

/// The reference starts `iptables` and finds it here.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A folder of plugins.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    directory: PathBuf,
    launcher: Launcher,
}

/// How a plugin's process is started.
#[derive(Debug, Clone)]
pub(crate) enum Launcher {
    /// By itself: the only way whose time counts.
    Direct,
    /// Under this program's `peak-memory`, which writes to the file.
    PeakMemory(PathBuf),
    /// Under `strace`, which writes each of the calls and its time to the file.
    Strace(PathBuf),
}

/// What libcni calls a network configuration list.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// The network's name.
    pub(crate) name: &'static str,
    /// Each plugin's configuration, the first first.
    pub(crate) plugins: Vec<Value>,
    /// How many of them, from the first, only make what the others are measured on: their own time does not count.
    pub(crate) prepared: usize,
    /// Whether its host has to be on a wire.
    pub(crate) needs_wire: bool,
}

/// A container as the plugins are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// Unique on its host.
    pub(crate) id: String,
    /// The path of its network namespace.
    pub(crate) namespace: PathBuf,
    /// Published ports: the host's and the container's.
    pub(crate) ports: Vec<(u16, u16)>,
}

/// How long the plugins of a chain took together, from before each start to after its end.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    /// The sum of the plugins' times.
    pub(crate) elapsed: Duration,
    /// The result of the ADD or CHECK.
    pub(crate) outcome: T,
}

struct Invocation<'a> {
    verb: &'static str,
    network: &'a Network,
    container: &'a Container,
}

impl Network {
    /// What counts of the time that the plugin at `position` took.
    fn counted(&self, position: usize, elapsed: Duration) -> Duration {
        if position < self.prepared { Duration::ZERO } else { elapsed }
    }
}

impl Suite {
    /// `programs`, copied from the folder `from` to a new folder `to`.
    pub(crate) fn install(from: &Path, programs: &[&str], to: &Path) -> Result<Self> {
        fs::create_dir(to).map_err(Error::file(to))?;
        for program in programs {
            let path = from.join(program);
            if !path.is_file() {
                return Err(Error::NoPlugin { path });
            }
            fs::copy(&path, to.join(program)).map_err(Error::file(&path))?;
        }
        Ok(Self { directory: to.to_owned(), launcher: Launcher::Direct })
    }

    /// The same plugins, started in another way.
    pub(crate) fn with(&self, launcher: Launcher) -> Self {
        Self { directory: self.directory.clone(), launcher }
    }

    /// The path of an installed plugin.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Attaches `container`; the outcome is the last plugin's result.
    pub(crate) fn add(&self, network: &Network, container: &Container) -> Result<Timed<Value>> {
        self.add_after(network, container, Value::Null)
    }

    /// The same, where earlier plugins have come to `result`.
    pub(crate) fn add_after(&self, network: &Network, container: &Container, result: Value) -> Result<Timed<Value>> {
        let invocation = Invocation { verb: "ADD", network, container };
        let (mut elapsed, mut result) = (Duration::ZERO, result);
        for (position, plugin) in network.plugins.iter().enumerate() {
            let run = self.run(&invocation, plugin, &result)?;
            elapsed += network.counted(position, run.elapsed);
            result = run.outcome?;
        }
        Ok(Timed { elapsed, outcome: result })
    }

    /// Compares `container`'s attachment with `result`, up to the first plugin that complains.
    pub(crate) fn check(
        &self,
        network: &Network,
        container: &Container,
        result: &Value,
    ) -> Result<Timed<Option<Failure>>> {
        let invocation = Invocation { verb: "CHECK", network, container };
        let mut elapsed = Duration::ZERO;
        for plugin in &network.plugins[network.prepared..] {
            let run = self.run(&invocation, plugin, result)?;
            elapsed += run.elapsed;
            if let Err(failure) = run.outcome {
                return Ok(Timed { elapsed, outcome: Some(failure) });
            }
        }
        Ok(Timed { elapsed, outcome: None })
    }

    /// Detaches `container`, the chain's last plugin first.
    pub(crate) fn del(&self, network: &Network, container: &Container, result: &Value) -> Result<Duration> {
        let invocation = Invocation { verb: "DEL", network, container };
        let mut elapsed = Duration::ZERO;
        for (position, plugin) in network.plugins.iter().enumerate().rev() {
            let run = self.run(&invocation, plugin, result)?;
            elapsed += network.counted(position, run.elapsed);
            run.outcome?;
        }
        Ok(elapsed)
    }

    fn run(
        &self,
        invocation: &Invocation<'_>,
        plugin: &Value,
        previous: &Value,
    ) -> Result<Timed<Result<Value, Failure>>> {
        let name = plugin["type"].as_str().unwrap_or_default();
        let program = self.path(name);
        let input = invocation.input(plugin, previous).to_string();
        let mut command = self.launcher.command(&program)?;
        invocation.set_environment(&mut command, &self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());

        let started = Instant::now();
        let mut child = command.spawn().map_err(Error::file(&program))?;
        let answer = converse(&mut child, input.as_bytes());
        let status = child.wait().map_err(Error::file(&program))?;
        let elapsed = started.elapsed();

        let output = answer.map_err(Error::file(&program))?;
        let side = self.directory.file_name().unwrap_or_default().display();
        let failed = |message| Failure { program: format!("{side}/{name}"), verb: invocation.verb, message };
        Ok(Timed { elapsed, outcome: understand(&output, status).map_err(failed) })
    }
}

impl Launcher {
    fn command(&self, program: &Path) -> Result<Command> {
        Ok(match self {
            Self::Direct => Command::new(program),
            Self::PeakMemory(report) => {
                let mut command = Command::new(std::env::current_exe().map_err(Error::file("/proc/self/exe"))?);
                command.arg("peak-memory").arg(report).arg(program);
                command
            }
            Self::Strace(report) => {
                let mut command = Command::new("strace");
                // Calls that are not listed run at full speed, thanks to the filter.
                command.args(["-f", "--seccomp-bpf", "-ttt", "-T", "-e", CALLS, "-A", "-o"]).arg(report).arg(program);
                command
            }
        })
    }
}

impl Invocation<'_> {
    /// A plugin's configuration as libcni completes it.
    fn input(&self, plugin: &Value, previous: &Value) -> Value {
        let mut input = plugin.clone();
        input["name"] = json!(self.network.name);
        input["cniVersion"] = json!(CNI_VERSION);
        if !previous.is_null() {
            input["prevResult"] = previous.clone();
        }
        if plugin["capabilities"]["portMappings"] == json!(true) {
            let mapping = |(host, container): &(u16, u16)| json!({"hostPort": host, "containerPort": container, "protocol": "tcp"});
            input["runtimeConfig"] =
                json!({"portMappings": self.container.ports.iter().map(mapping).collect::<Vec<_>>()});
        }
        input
    }

    fn set_environment(&self, command: &mut Command, plugins: &Path) {
        command
            .env_clear()
            .env("PATH", PATH)
            .env("CNI_COMMAND", self.verb)
            .env("CNI_CONTAINERID", &self.container.id)
            .env("CNI_NETNS", &self.container.namespace)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", format!("IgnoreUnknown=1;K8S_POD_NAME={}", self.container.id))
            .env("CNI_PATH", plugins);
    }
}

/// Gives a child its input and takes its output.
pub(crate) fn converse(child: &mut Child, input: &[u8]) -> std::io::Result<Vec<u8>> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input) {
            // A plugin may say no before it has read everything.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut output)?;
    }
    Ok(output)
}

/// A plugin's answer, or what it complains about.
fn understand(output: &[u8], status: ExitStatus) -> Result<Value, String> {
    let answer: Value = serde_json::from_slice(output).unwrap_or(Value::Null);
    if status.success() {
        return Ok(answer);
    }
    match answer["msg"].as_str() {
        Some(message) => Err(message.to_owned()),
        None => Err(format!("ended with {status} and no error JSON")),
    }
}

/// The first IPv4 address of a result.
pub(crate) fn first_address(result: &Value) -> Option<Ipv4Addr> {
    let (address, _prefix) = result["ips"][0]["address"].as_str()?.split_once('/')?;
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let plugins = vec![json!({"type": "portmap", "capabilities": {"portMappings": true}})];
        Network { name: "bench", plugins, prepared: 0, needs_wire: false }
    }

    #[test]
    fn plugins_that_prepare_take_no_time() {
        let network = Network { prepared: 1, ..network() };
        let second = Duration::from_secs(1);
        assert_eq!((network.counted(0, second), network.counted(1, second)), (Duration::ZERO, second));
    }

    fn container() -> Container {
        Container { id: "one".into(), namespace: "/run/netns/one".into(), ports: vec![(8080, 80)] }
    }

    #[test]
    fn input_carries_name_version_result_and_the_ports_of_a_plugin_that_maps_ports() {
        let (network, container) = (network(), container());
        let invocation = Invocation { verb: "ADD", network: &network, container: &container };
        let input = invocation.input(&network.plugins[0], &json!({"ips": []}));
        assert_eq!(input["name"], "bench");
        assert_eq!(input["cniVersion"], "1.0.0");
        assert_eq!(input["prevResult"], json!({"ips": []}));
        assert_eq!(
            input["runtimeConfig"]["portMappings"],
            json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
        );
    }

    #[test]
    fn input_of_a_first_plugin_without_capabilities_has_neither_result_nor_ports() {
        let (network, container) = (network(), container());
        let invocation = Invocation { verb: "ADD", network: &network, container: &container };
        let input = invocation.input(&json!({"type": "bridge"}), &Value::Null);
        assert_eq!(input, json!({"type": "bridge", "name": "bench", "cniVersion": "1.0.0"}));
    }

    #[test]
    fn address_of_a_result_is_read_without_its_prefix() {
        let result = json!({"ips": [{"address": "10.1.2.3/16"}]});
        assert_eq!(first_address(&result), "10.1.2.3".parse().ok());
        assert_eq!(first_address(&json!({})), None);
    }
}
