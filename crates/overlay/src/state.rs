use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni::{ContainerId, IfName, NetworkName};
use files::Folder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Block, Error, HostId, IngressState, Network, Subnet};

/// Longer than any file here, in bytes.
const LIMIT: usize = 16 << 20;

/// Where the agent leaves what others have to know, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(PathBuf);

impl Default for Places {
    fn default() -> Self {
        Self::new("/run/ferrocni/overlay")
    }
}

impl Places {
    /// That folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// What the agent has to say of itself.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.0.join("agent.json")
    }

    /// What is known of ports that every host answers.
    #[must_use]
    pub fn ingress(&self) -> PathBuf {
        self.0.join("ingress.json")
    }

    /// What is known of ports that every host answers; `None` if no agent has ever known of any since the host was started.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ingress_state(&self) -> Result<Option<IngressState>, Error> {
        read(&self.ingress())
    }

    /// The folder of networks, a file each.
    #[must_use]
    pub fn networks(&self) -> Folder {
        Folder::new(self.0.join("networks"), LIMIT)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// What this host has of a network; `None` if it has not joined it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn state(&self, network: &NetworkName) -> Result<Option<State>, Error> {
        read(&self.networks().path_of(network.as_str()))
    }

    /// The networks that this host has joined.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn joined(&self) -> Result<Vec<NetworkName>, Error> {
        let folder = self.networks();
        let names = folder.names().map_err(Error::file("list", folder.path()))?;
        Ok(names.iter().filter_map(|name| NetworkName::new(name.to_str()?).ok()).collect())
    }

    /// What the agent has to say of itself; `None` if none ever ran here since the host was started.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn agent_state(&self) -> Result<Option<AgentState>, Error> {
        read(&self.agent())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match files::read(path, LIMIT) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
        Ok(content) => {
            let broken = |source| Error::Broken { path: path.into(), source };
            serde_json::from_slice(&content).map(Some).map_err(broken)
        }
    }
}

/// What this host has of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// This host.
    pub host: HostId,
    /// The network.
    pub network: Network,
    /// The largest packet that a container may send, in bytes: so that it fits on every host.
    pub mtu: u32,
    /// This host's blocks, from which containers get addresses.
    pub blocks: Vec<Block>,
    /// The addresses that were claimed for containers of this host in other blocks.
    pub claimed: Vec<Claimed>,
    /// The addresses in this host's blocks that containers of other hosts have.
    pub excluded: Vec<IpAddr>,
    /// What keeps new containers from the network.
    pub conflicts: Vec<Conflict>,
}

impl State {
    /// Whether this host has a block of each of the network's subnets.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let has_block = |subnet: &Subnet| self.blocks.iter().any(|block| subnet.has(*block));
        self.network.subnets.iter().all(has_block)
    }
}

/// An address outside the host's blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The address.
    pub address: IpAddr,
    /// Whose it is.
    pub container: ContainerId,
    /// The interface that it is for.
    pub interface: IfName,
}

/// Containers of this host have addresses of a block that another host owns now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The block.
    pub block: Block,
    /// Who owns it.
    pub owner: HostId,
    /// Those containers.
    pub containers: Vec<String>,
}

/// What the agent has to say of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentState {
    /// This host's id.
    pub host: String,
    /// Whether etcd answers.
    pub connected: bool,
    /// Why not, if it does not.
    pub problem: Option<String>,
    /// The hosts in etcd, this one among them.
    pub hosts: usize,
    /// Those of them that have shown a sign of life within a minute.
    pub alive: usize,
    /// The networks that this host has joined.
    pub networks: usize,
    /// How often something in the kernel was not as it should be, and was mended.
    pub drift: u64,
    /// How many ports this host answers for the cluster.
    #[serde(default)]
    pub ports: usize,
    /// How many keys and values in etcd make no sense.
    pub nonsense: usize,
    /// How often etcd was read anew because changes were lost.
    pub resyncs: u64,
    /// What keeps the kernel from being as it should be, or hosts from being reached.
    pub problems: Vec<String>,
}
