//! One run of one plugin.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Inside as _;
use crate::binaries::{bin_dir, newest_version};
use crate::command::{Finished, command, finish, finish_with_stdout};
use crate::host::{Container, Host};

/// A plugin about to be run. Without anything else said it gets CNI_PATH, an empty stdin and no command.
#[derive(Clone, Debug)]
pub struct Cni<'h> {
    pub(crate) host: &'h Host,
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    stdin: Vec<u8>,
}

impl<'h> Cni<'h> {
    pub(crate) fn new(host: &'h Host, plugin: &str) -> Self {
        let dir = bin_dir();
        let path = dir.to_string_lossy().into_owned();
        let environment = BTreeMap::from([("CNI_PATH".to_owned(), path)]);
        Self { host, binary: dir.join(plugin), environment, stdin: Vec::new() }
    }

    /// The host that the plugin runs on.
    #[must_use]
    pub fn host(&self) -> &'h Host {
        self.host
    }

    /// Sets `CNI_COMMAND`.
    #[must_use]
    pub fn command(self, verb: &str) -> Self {
        self.env("CNI_COMMAND", verb)
    }

    /// CNI_CONTAINERID and CNI_NETNS; CNI_IFNAME too, as `eth0`, unless it is set already.
    #[must_use]
    pub fn container(mut self, container: &Container) -> Self {
        self.environment.entry("CNI_IFNAME".into()).or_insert_with(|| "eth0".into());
        self.container_id(&container.id).netns(&container.netns.to_string_lossy())
    }

    /// Sets `CNI_CONTAINERID`.
    #[must_use]
    pub fn container_id(self, id: &str) -> Self {
        self.env("CNI_CONTAINERID", id)
    }

    /// Sets `CNI_NETNS`.
    #[must_use]
    pub fn netns(self, path: &str) -> Self {
        self.env("CNI_NETNS", path)
    }

    /// Sets `CNI_IFNAME`.
    #[must_use]
    pub fn ifname(self, name: &str) -> Self {
        self.env("CNI_IFNAME", name)
    }

    /// Sets `CNI_ARGS`.
    #[must_use]
    pub fn args(self, args: &str) -> Self {
        self.env("CNI_ARGS", args)
    }

    /// CNI_PATH, instead of the folder of the tested binaries.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        self.env("CNI_PATH", path)
    }

    /// Any environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Leaves an environment variable out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// The configuration. A `name` ("test") and the newest `cniVersion` are added where they are missing;
    /// use [`stdin`](Self::stdin) for exact bytes.
    #[must_use]
    pub fn config(self, config: &Value) -> Self {
        let mut config = config.clone();
        for (key, default) in [("name", "test"), ("cniVersion", newest_version())] {
            if config.get(key).is_none() {
                config[key] = json!(default);
            }
        }
        self.stdin(config.to_string())
    }

    /// What the plugin reads, as it is.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs the plugin and waits for its end.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Outcome {
        Outcome::new(finish(self.host.namespaces(), self.process(&[]), &self.stdin))
    }

    /// Runs the plugin with a standard output that takes nothing (`/dev/full`): what it did cannot be
    /// reported to anybody.
    #[must_use]
    #[track_caller]
    pub fn run_unheard(&self) -> Outcome {
        let full = File::options().write(true).open("/dev/full").expect("open /dev/full");
        let stdout = Stdio::from(full);
        Outcome::new(finish_with_stdout(self.host.namespaces(), self.process(&[]), &self.stdin, stdout))
    }

    /// Runs the plugin under another program, for instance `["strace", "-f", "-o", "/run/trace"]`.
    #[must_use]
    #[track_caller]
    pub fn run_under(&self, wrapper: &[&str]) -> Outcome {
        Outcome::new(finish(self.host.namespaces(), self.process(wrapper), &self.stdin))
    }

    /// Runs the plugin, which has to do its work without starting another program.
    ///
    /// # Panics
    /// If it starts one, or strace is missing.
    #[must_use]
    #[track_caller]
    pub fn run_alone(&self) -> Outcome {
        const TRACE: &str = "/run/programs";
        let outcome = self.run_under(&["strace", "-f", "-qqq", "-e", "trace=execve", "-o", TRACE]);
        let trace = self.host.read(TRACE).expect("strace writes a trace");
        assert_eq!(trace.matches("execve(").count(), 1, "{}{trace}", outcome.finished);
        outcome
    }

    fn process(&self, wrapper: &[&str]) -> Command {
        let exists = self.binary.exists();
        assert!(exists, "{} is missing: build the workspace (cargo build) first", self.binary.display());
        let mut argv: Vec<_> = wrapper.iter().map(Into::into).collect();
        argv.push(self.binary.as_os_str().to_owned());
        let mut command = command(argv);
        command.envs(&self.environment);
        command
    }
}

/// What came of running a plugin.
#[derive(Debug)]
pub struct Outcome {
    /// Status and both outputs.
    pub finished: Finished,
    /// The standard output, if it is JSON.
    pub json: Option<Value>,
}

/// A plugin's error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniError {
    /// The specification's code, or the plugin's own from 100.
    pub code: u64,
    /// A short sentence.
    pub msg: String,
    /// A longer one, or nothing.
    pub details: String,
}

impl Outcome {
    fn new(finished: Finished) -> Self {
        let json = serde_json::from_str(&finished.stdout).ok();
        Self { finished, json }
    }

    /// Whether the plugin exited with 0.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.finished.status.success()
    }

    /// The reply of a success; null for a verb that has none.
    ///
    /// # Panics
    /// If the plugin failed, with everything it said.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a test may only want the success")]
    pub fn ok(self) -> Value {
        assert!(self.is_ok(), "{}", self.finished);
        self.json.unwrap_or_default()
    }

    /// The reply of a failure.
    ///
    /// # Panics
    /// If the plugin succeeded, or did not answer with an error JSON that has a code and a message.
    #[must_use]
    #[track_caller]
    pub fn error(self) -> CniError {
        assert!(!self.is_ok(), "should have failed: {}", self.finished);
        let reply = self.json.unwrap_or_default();
        let code = reply["code"].as_u64();
        let msg = reply["msg"].as_str();
        let (Some(code), Some(msg)) = (code, msg) else { panic!("no error JSON: {}", self.finished) };
        let details = reply["details"].as_str().unwrap_or_default().to_owned();
        CniError { code, msg: msg.to_owned(), details }
    }
}

/// The `index`-th address in the result of an ADD, ready to have a port appended: `10.1.0.2`, `[fd00::2]`.
///
/// # Panics
/// If there is none.
#[must_use]
#[track_caller]
pub fn address(result: &Value, index: usize) -> String {
    let cidr = result["ips"][index]["address"].as_str();
    let (address, _) =
        cidr.and_then(|cidr| cidr.split_once('/')).unwrap_or_else(|| panic!("no address {index}: {result}"));
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}
