//! The verbs through lists of plugins that are a shell script, which notes its calls.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod add;
mod check;
mod del;
mod example;
mod gc;
mod plugins;
mod version;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use cni_runtime::{Cache, Endpoint, Error, Network, PluginError, Runtime, Stderr};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder of plugins, and the runtime that finds them there.
struct Scene {
    folder: TempDir,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new([folder.path()]).unwrap();
        let runtime = runtime.with_cache(Cache::new(folder.path().join("cache"))).with_stderr(Stderr::Capture);
        Self { folder, runtime }
    }

    /// The network `net` with these plugins, which are installed.
    fn network<const N: usize>(&self, version: &str, plugins: [&str; N]) -> Network {
        self.install(plugins);
        let plugins =
            plugins.map(|name| json!({"type": name, "key": name, "capabilities": {(name): true, "all": true}}));
        Network::from_json(json!({"name": "net", "cniVersion": version, "plugins": plugins.to_vec()})).unwrap()
    }

    /// Links to one program: a written one could not be executed while another test's child has it open.
    fn install<const N: usize>(&self, plugins: [&str; N]) {
        for name in plugins {
            let _ = symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verbs/plugin.sh"), self.path(name));
        }
    }

    fn answer(&self, call: &str, shell: &str) {
        fs::write(self.path(call), shell).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Which have been called since it was asked last.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls.lines().map(str::to_owned).collect()
    }

    fn stdin(&self, call: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(&format!("{call}.stdin"))).unwrap()).unwrap()
    }

    fn environment(&self, call: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("{call}.environment"))).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new("c1", "eth0").unwrap().in_netns("/run/netns/c1")
}

/// A piece of shell that fails as plugins do.
fn failing(msg: &str) -> String {
    format!("echo '{{\"code\": 123, \"msg\": \"{msg}\"}}'; exit 1")
}

#[track_caller]
fn plugin_error(error: Error) -> PluginError {
    match error {
        Error::Plugin(error) => error,
        other => panic!("{other}"),
    }
}
