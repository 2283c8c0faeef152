use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use cni::{ContainerId, IfName, NetworkName};
use serde::{Deserialize, Serialize};

use crate::ingress::{Port, Share};
use crate::{Block, Claim, Endpoint, Error, Host, HostId, Network, Places, State, Subnet};

/// How long the agent may take: it gives etcd less.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer, in bytes: a network with tens of thousands of hosts and containers.
const LONGEST: u64 = 64 << 20;

/// What is asked of the agent: one line of JSON, answered by a [`Reply`] on one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Make sure that this host is in a network, and has addresses of it.
    Join(NetworkName),
    /// Whether this host could be in a network: its kernel may be unable to encrypt.
    Probe(NetworkName),
    /// Get another block for this host: those it has are full.
    Grow {
        /// The network.
        network: NetworkName,
        /// Of its IPv4 subnet, else of its IPv6 subnet.
        ipv4: bool,
    },
    /// Claim an address that is not in a block of this host.
    Claim {
        /// The network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
        /// Who is to have it.
        container: ContainerId,
        /// The interface that it is for.
        interface: IfName,
    },
    /// Tell other hosts at once of what a container here has left for that, which publishes these ports on every host.
    Publish {
        /// The network.
        network: NetworkName,
        /// The ports.
        ports: Vec<Port>,
    },
    /// Containers of this network have come or gone. It is not answered.
    Changed(NetworkName),
    /// Compare the kernel's state with what it should be, and put right what is not.
    Compare,
    /// Create a network.
    Create(Asked),
    /// Remove a network that nobody uses.
    Remove(NetworkName),
    /// Which networks there are.
    Networks,
    /// What is to be said of a network.
    Describe(NetworkName),
    /// Which hosts there are.
    Hosts,
    /// Forget a host that is dead, and take its blocks back.
    RemoveHost(HostId),
}

/// A network to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Its name.
    pub name: NetworkName,
    /// Its subnets, at most one for a family; one of IPv4 is found without.
    pub subnets: Vec<Subnet>,
    /// Find one of IPv6 too.
    pub ipv6: bool,
    /// See [`Network`].
    pub encrypted: bool,
    /// See [`Network`].
    pub internal: bool,
    /// See [`Network`].
    pub mtu: Option<u32>,
    /// See [`Network`].
    pub labels: BTreeMap<String, String>,
    /// See [`Network`].
    pub options: BTreeMap<String, String>,
    /// See [`Network`].
    pub created: String,
}

/// The agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// It is done.
    Done,
    /// What this host has of the network now.
    State(State),
    /// The network.
    Created(Network),
    /// All networks.
    Networks(BTreeMap<NetworkName, Network>),
    /// What is to be said of one.
    Described(Described),
    /// All hosts.
    Hosts(Vec<KnownHost>),
    /// It cannot be done.
    Failed {
        /// Why.
        message: String,
        /// It may be possible later.
        temporary: bool,
    },
}

/// A network with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// What it is.
    pub network: Network,
    /// Who has which block.
    pub blocks: Vec<HolderOfBlock>,
    /// The addresses that hosts have outside their blocks.
    pub claims: BTreeMap<IpAddr, Claim>,
    /// The containers, by host, and then by `<container>:<interface>`.
    pub endpoints: BTreeMap<HostId, BTreeMap<String, Endpoint>>,
    /// The ports that every host answers, with what hosts have behind each.
    #[serde(default)]
    pub ports: BTreeMap<String, BTreeMap<HostId, Share>>,
    /// The names of hosts.
    pub hosts: BTreeMap<HostId, String>,
}

/// A block with its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderOfBlock {
    /// The block.
    pub block: Block,
    /// Its owner.
    pub host: HostId,
}

/// A host as etcd knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// Its id.
    pub id: HostId,
    /// What it says of itself; `None` if that makes no sense.
    pub host: Option<Host>,
    /// It has shown a sign of life within a minute.
    pub alive: bool,
    /// It is the one that answers.
    pub here: bool,
    /// Its blocks, by network.
    pub blocks: BTreeMap<NetworkName, Vec<Block>>,
}

/// This host's agent, as others see it: a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent(PathBuf);

impl Default for Agent {
    fn default() -> Self {
        Self::at(&Places::default())
    }
}

impl Agent {
    /// The agent that has these places.
    #[must_use]
    pub fn at(places: &Places) -> Self {
        Self(places.socket())
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Error::NoAgent`]; [`Error::Unreachable`] and [`Error::Refused`] if it cannot or will not.
    pub fn ask(&self, request: &Request) -> Result<Reply, Error> {
        let stream = self.send(request).map_err(|source| Error::NoAgent { path: self.0.clone(), source })?;
        let mut line = String::new();
        let read = BufReader::new(stream.take(LONGEST)).read_line(&mut line);
        read.map_err(|source| Error::NoAgent { path: self.0.clone(), source })?;
        match serde_json::from_str(&line).map_err(Error::Answer)? {
            Reply::Failed { message, temporary: true } => Err(Error::Unreachable(message)),
            Reply::Failed { message, temporary: false } => Err(Error::Refused(message)),
            reply => Ok(reply),
        }
    }

    /// Rings the bell: the agent looks at what has changed when it gets round to it. If there is none, the next one looks anyhow.
    pub fn tell_of_change(&self, network: &NetworkName) {
        let _ = self.send(&Request::Changed(network.clone()));
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// [`Error::NoAgent`] if it does not.
    pub fn reach(&self) -> Result<(), Error> {
        let reached = UnixStream::connect(&self.0);
        reached.map(drop).map_err(|source| Error::NoAgent { path: self.0.clone(), source })
    }

    fn send(&self, request: &Request) -> std::io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        Ok(stream)
    }
}
