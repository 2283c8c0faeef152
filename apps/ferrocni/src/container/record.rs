//! What is written down of a container while its supervisor lives, and for whoever has to clear up after it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use cni_runtime::{Endpoint, Network};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attachments::PortMapping;

/// A container of this command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) hostname: Option<String>,
    pub(crate) created: SystemTime,
    pub(crate) labels: BTreeMap<String, String>,
    /// The process that waits for the program's end.
    pub(crate) supervisor: i32,
    /// `None`: it shares the host's.
    pub(crate) netns: Option<PathBuf>,
    /// In the order in which the networks are attached.
    pub(crate) attachments: Vec<Planned>,
    pub(crate) ports: Vec<PortMapping>,
    pub(crate) program: Program,
}

/// An interface of a container that is attached, was, or will be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// The list as it was when the container was started.
    network: Value,
    ifname: String,
    args: Vec<(String, String)>,
    capability_args: Map<String, Value>,
}

/// What runs in a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// What is added to the environment of the supervisor.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) rootfs: Option<PathBuf>,
    /// It is the terminal's foreground process group.
    pub(crate) has_terminal: bool,
}

/// What is written down cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("what is recorded of container {container} cannot be used")]
pub(crate) struct Unusable {
    pub(crate) container: String,
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl Planned {
    pub(crate) fn new(network: &Network, endpoint: &Endpoint) -> Self {
        Self {
            network: network.json(),
            ifname: endpoint.ifname.to_string(),
            args: endpoint.args.clone(),
            capability_args: endpoint.capability_args.clone(),
        }
    }

    pub(crate) fn ifname(&self) -> &str {
        &self.ifname
    }

    pub(crate) fn network_name(&self) -> &str {
        self.network.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Record {
    /// The network and the endpoint, to attach and to detach.
    pub(crate) fn endpoint(&self, planned: &Planned) -> Result<(Network, Endpoint), Unusable> {
        let unusable = |source| Unusable { container: self.name.clone(), source };
        let network = Network::from_json(planned.network.clone()).map_err(|error| unusable(error.into()))?;
        let mut endpoint = Endpoint::new(&self.id, &planned.ifname).map_err(|error| unusable(error.into()))?;
        endpoint.args.clone_from(&planned.args);
        endpoint.capability_args.clone_from(&planned.capability_args);
        Ok((network, endpoint.in_netns(self.netns_path())))
    }

    /// Where the program's network namespace is.
    pub(crate) fn netns_path(&self) -> PathBuf {
        self.netns.clone().unwrap_or_else(|| format!("/proc/{}/ns/net", self.supervisor).into())
    }

    /// Whether it is meant by a name, an id or the beginning of an id.
    pub(crate) fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || (!wanted.is_empty() && self.id.starts_with(wanted))
    }

    /// As a person would type it.
    pub(crate) fn command_line(&self) -> String {
        self.program.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}
