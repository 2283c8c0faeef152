//! Drivers that are programs of others: `netavark_plugin_dirs` of containers.conf.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cni::NetworkName;
use cni_plugin::Undo;
use serde_json::Value;

use crate::container::{Container, Part, for_driver};
use crate::error::Error;
use crate::places;

/// A program that connects containers to a network.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    file: PathBuf,
    network: NetworkName,
    driver: String,
}

impl Program {
    /// The driver of that name.
    pub(crate) fn find(network: &NetworkName, driver: &str, folders: &[PathBuf]) -> Result<Self, Error> {
        let absent = || Error::NoProgram { network: network.clone(), driver: driver.to_owned() };
        let file = places::find(driver, folders.iter().map(PathBuf::as_path)).ok_or_else(absent)?;
        Ok(Self { file, network: network.clone(), driver: driver.to_owned() })
    }

    /// Has it connect the container; says what it printed.
    pub(crate) fn set_up(
        &self,
        container: &Container,
        part: &Part<'_>,
        netns: &Path,
        undo: &mut Undo,
    ) -> Result<Value, Error> {
        let input = for_driver(container, part);
        undo.push(format!("have driver {} disconnect the container", self.driver), {
            let (program, input, netns) = (self.clone(), input.clone(), netns.to_owned());
            move || program.run("teardown", Some(&netns), &input).map(drop)
        });
        self.run("setup", Some(netns), &input)
    }

    /// Has it disconnect the container.
    pub(crate) fn tear_down(&self, container: &Container, part: &Part<'_>, netns: &Path) -> Result<(), Error> {
        self.run("teardown", Some(netns), &for_driver(container, part)).map(drop)
    }

    /// Has it complete a network's description.
    pub(crate) fn create(&self, network: &Value) -> Result<Value, Error> {
        self.run("create", None, network)
    }

    fn run(&self, command: &str, netns: Option<&Path>, input: &Value) -> Result<Value, Error> {
        let failed =
            |reason: String| Error::Program { network: self.network.clone(), driver: self.driver.clone(), reason };
        let cannot = |error: std::io::Error| failed(format!("cannot run {}: {error}", self.file.display()));
        let mut child = Command::new(&self.file)
            .arg(command)
            .args(netns)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // It need not read what it does not care for.
        let _ = stdin.map(|mut stdin| stdin.write_all(input.to_string().as_bytes()));
        let mut printed = Vec::new();
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut printed));
        let status = child.wait().map_err(cannot)?;
        read.map_err(cannot)?;
        if status.success() {
            return if printed.is_empty() {
                Ok(Value::Null)
            } else {
                serde_json::from_slice(&printed).map_err(|error| failed(format!("it printed no JSON: {error}")))
            };
        }
        let said = serde_json::from_slice::<Value>(&printed).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        Err(failed(said.map_or_else(|| format!("{status}, and it printed no error"), str::to_owned)))
    }
}
