//! The names of containers on other hosts.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni::{ContainerId, IfName, NetworkName};
use files::Folder;
use serde::{Deserialize, Serialize};

use crate::records::failed;
use crate::{Error, Name, Port, Record};

/// Where the names of containers on other hosts are.
pub const ELSEWHERE: &str = "/run/ferrocni/names-elsewhere";

/// The most that a file may have, in bytes: thousands of containers of one host on one network.
const LIMIT: usize = 16 << 20;
/// Longer than what other hosts are called by, in bytes.
const LONGEST_HOST: usize = 64;

/// What others on its network may know of a container, wherever they are. The first twelve characters of its id are a name as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Known {
    /// The name that reverse questions are answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Other names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Name>,
    /// Its addresses on the network.
    pub addresses: Vec<IpAddr>,
    /// Below it each name is found as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
    /// The Kubernetes namespace of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_namespace: Option<Name>,
    /// How long an answer may be kept, in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub ttl: u32,
    /// The ports that it publishes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(ttl: &u32) -> bool {
    *ttl == 0
}

impl From<&Record> for Known {
    fn from(record: &Record) -> Self {
        Self {
            name: record.name.clone(),
            aliases: record.aliases.clone(),
            addresses: record.addresses.clone(),
            domain: record.domain.clone(),
            pod_namespace: record.pod_namespace.clone(),
            ttl: record.ttl,
            ports: record.ports.clone(),
        }
    }
}

/// What one host has told of one network: its containers' interfaces.
pub type Told = BTreeMap<(ContainerId, IfName), Known>;

/// Another host on a network, by which a file is named: `<network>:<host>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    network: NetworkName,
    host: String,
}

impl Peer {
    /// That host on that network; nothing if the host is not called by ASCII letters, digits and '-', 64 at most.
    #[must_use]
    pub fn new(network: NetworkName, host: &str) -> Option<Self> {
        let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let fits = (1..=LONGEST_HOST).contains(&host.len());
        (is_plain && fits).then(|| Self { network, host: host.to_owned() })
    }

    /// The one that a file of this name is of.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let (network, host) = name.split_once(':')?;
        Self::new(NetworkName::new(network).ok()?, host)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.network
    }

    /// What the host is called by.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    fn file(&self) -> String {
        format!("{}:{}", self.network, self.host)
    }
}

/// A folder with the names of containers on other hosts. Whoever hears of them writes a file for each host on each network, and the
/// server, which watches the folder, follows: nobody waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere(Folder);

impl Default for Elsewhere {
    fn default() -> Self {
        Self::new(ELSEWHERE)
    }
}

impl Elsewhere {
    /// The folder at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Folder::new(path.into(), LIMIT))
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Who has told anything.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn peers(&self) -> Result<Vec<Peer>, Error> {
        let names = self.0.names().map_err(|source| failed("list", self.0.path(), source))?;
        Ok(names.iter().filter_map(|name| Peer::of_file(name.to_str()?)).collect())
    }

    /// What a host has told; nothing if there is no file of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, peer: &Peer) -> Result<Told, Error> {
        let path = self.0.path_of(&peer.file());
        let Some(bytes) = self.0.read(&peer.file()).map_err(|source| failed("read", &path, source))? else {
            return Ok(Told::new());
        };
        let written: BTreeMap<String, Known> =
            serde_json::from_slice(&bytes).map_err(|source| Error::Broken { path, source })?;
        let interface = |(key, known): (String, Known)| {
            let (container, ifname) = key.split_once(':')?;
            Some(((ContainerId::new(container).ok()?, IfName::new(ifname).ok()?), known))
        };
        Ok(written.into_iter().filter_map(interface).collect())
    }

    /// Writes what a host has told, in the place of what it told earlier. Nothing told is no file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, peer: &Peer, told: &Told) -> Result<(), Error> {
        let name = peer.file();
        if told.is_empty() {
            return self.0.remove(&name).map_err(|source| failed("remove", &self.0.path_of(&name), source));
        }
        let written: BTreeMap<_, _> =
            told.iter().map(|((container, ifname), known)| (format!("{container}:{ifname}"), known)).collect();
        let written = serde_json::to_vec(&written).map_err(io::Error::from);
        let written = written.and_then(|bytes| self.0.write(&name, &bytes));
        written.map_err(|source| failed("write", &self.0.path_of(&name), source))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn peer(file: &str) -> Peer {
        Peer::of_file(file).unwrap()
    }

    #[test]
    fn what_a_host_has_told_reads_back_until_it_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = Elsewhere::new(dir.path().join("elsewhere"));
        let known = Known {
            name: Some(Name::new("web").unwrap()),
            addresses: vec!["10.1.0.2".parse().unwrap()],
            ..Known::default()
        };
        let told = Told::from([((ContainerId::new("c1").unwrap(), IfName::new("eth0").unwrap()), known)]);
        elsewhere.write(&peer("net:a-1"), &told).unwrap();
        assert_eq!(elsewhere.read(&peer("net:a-1")).unwrap(), told);
        assert_eq!(elsewhere.peers().unwrap(), [peer("net:a-1")]);
        for _ in 0..2 {
            elsewhere.write(&peer("net:a-1"), &Told::new()).unwrap();
        }
        assert_eq!(elsewhere.peers().unwrap(), []);
        assert_eq!(elsewhere.read(&peer("net:a-1")).unwrap(), Told::new());
    }

    #[test]
    fn what_is_no_name_of_a_file_is_of_nobody() {
        for file in ["net", "net:", ":a", "net:a/b", "net:..", "net:a:b", &format!("net:{}", "a".repeat(65)), ".net:a"]
        {
            assert_eq!(Peer::of_file(file), None, "{file}");
        }
    }
}
