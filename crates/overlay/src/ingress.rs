//! Ports that every host answers: what is told of them in etcd, and what a plugin leaves for its host's agent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cni::{Attachment, ContainerId, NetworkName};
use files::{Folder, attachment_of, name_of};
use ip::Protocol;
use netlink::Mac;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, HostId, Places, Vni};

/// The most ports that a container can publish in this way.
const MAX_PORTS: usize = 1024;
/// More containers than a host has.
const MAX_ENDPOINTS: u32 = 1 << 16;
/// Longer than any record of ports, in bytes.
const LIMIT: usize = 1 << 20;

/// A port that every host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number, not 0.
    #[serde(deserialize_with = "number")]
    pub port: u16,
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.port, self.protocol)
    }
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("0 is no port")),
        port => Ok(port),
    }
}

/// What a host has behind a port (`ingress/<protocol>/<port>/<network>/<host>`): how many containers that take IPv4, and IPv6. Their
/// addresses are its own affair: others send to the host, which knows what is for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenShare", into = "WrittenShare")]
pub struct Share {
    /// Containers with an IPv4 address.
    pub ipv4: u32,
    /// Containers with an IPv6 address.
    pub ipv6: u32,
    /// The network is encrypted, and so is the way there.
    pub encrypted: bool,
}

#[derive(Serialize, Deserialize)]
struct WrittenShare {
    #[serde(default)]
    ipv4: u32,
    #[serde(default)]
    ipv6: u32,
    #[serde(default)]
    encrypted: bool,
}

impl Share {
    /// Those that take a family.
    #[must_use]
    pub fn of_family(&self, is_ipv4: bool) -> u32 {
        if is_ipv4 { self.ipv4 } else { self.ipv6 }
    }
}

impl TryFrom<WrittenShare> for Share {
    type Error = String;

    fn try_from(written: WrittenShare) -> Result<Self, String> {
        let WrittenShare { ipv4, ipv6, encrypted } = written;
        if ipv4 == 0 && ipv6 == 0 {
            return Err("there is no container behind it".to_owned());
        }
        if ipv4.max(ipv6) > MAX_ENDPOINTS {
            return Err(format!("a host has no more than {MAX_ENDPOINTS} containers"));
        }
        Ok(Self { ipv4, ipv6, encrypted })
    }
}

impl From<Share> for WrittenShare {
    fn from(share: Share) -> Self {
        let Share { ipv4, ipv6, encrypted } = share;
        Self { ipv4, ipv6, encrypted }
    }
}

/// A host's number among those that answer such ports: 1 to 255. Its addresses there follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Number(u8);

impl Number {
    /// Every number, from the lowest on.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=u8::MAX).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Where other hosts send what is for this one's containers. Nobody else has these addresses: those of IPv4 are of the first and the
    /// last 256 that no host may choose by itself (RFC 3927, section 2.1), those of IPv6 of a prefix that is local (RFC 4193).
    #[must_use]
    pub fn addresses(self, encrypted: bool) -> [IpAddr; 2] {
        let (third, fifth) = if encrypted { (255, 2) } else { (0, 1) };
        [
            Ipv4Addr::new(169, 254, third, self.0).into(),
            Ipv6Addr::new(0xfd66, 0x6572, 0x726f, 0x636e, fifth, 0, 0, u16::from(self.0)).into(),
        ]
    }

    /// Where the host is reached inside of what is encrypted.
    #[must_use]
    pub fn address_in_tunnel(self) -> Ipv4Addr {
        Ipv4Addr::new(169, 254, 254, self.0)
    }
}

impl TryFrom<u8> for Number {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if number == 0 { Err("0 is no host's number".to_owned()) } else { Ok(Self(number)) }
    }
}

impl From<Number> for u8 {
    fn from(number: Number) -> u8 {
        number.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The VXLAN identifier of the way between hosts: the last two, which no network gets that was given the lowest that was free.
///
/// # Panics
/// Never: they are identifiers.
#[must_use]
pub fn vni(encrypted: bool) -> Vni {
    if encrypted { Vni::BEFORE_LAST } else { Vni::THE_LAST }
}

/// The name of a host's device on that way.
#[must_use]
pub fn device(encrypted: bool) -> &'static str {
    if encrypted { "overlaywgin" } else { "overlayin" }
}

/// The Ethernet address of a host's device on that way.
#[must_use]
pub fn mac_of(host: &HostId, encrypted: bool) -> Mac {
    vni(encrypted).mac_of(host)
}

/// A number by which to choose, the same everywhere.
#[must_use]
pub fn hash(words: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word);
        hash.update([0]);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}

/// What a container publishes on every host, as its plugin leaves it for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The overlay network.
    pub network: NetworkName,
    /// The ports, with the container's own.
    pub ports: Vec<Mapping>,
}

/// A port with where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// What every host answers.
    #[serde(flatten)]
    pub port: Port,
    /// The container's port.
    pub container_port: u16,
    /// The container's addresses that it leads to, one for a family.
    pub addresses: Vec<IpAddr>,
}

/// What is known of ports that every host answers, as the agent leaves it for people and for the agent after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressState {
    /// The hosts that answer, by their numbers.
    pub numbers: BTreeMap<Number, HostId>,
    /// The ports.
    pub ports: Vec<KnownPort>,
}

/// A port that every host answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPort {
    /// Its number and protocol.
    #[serde(flatten)]
    pub port: Port,
    /// The network that has it.
    pub network: NetworkName,
    /// What hosts have behind it.
    pub hosts: BTreeMap<HostId, Share>,
    /// This host answers it.
    pub answered: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl IngressState {
    /// The port, if this host answers it for the cluster.
    #[must_use]
    pub fn answered(&self, port: Port) -> Option<&KnownPort> {
        self.ports.iter().find(|known| known.answered && known.port == port)
    }
}

/// The records of what containers of this host publish on every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publications(Folder);

impl Places {
    /// What containers of this host publish on every host, a file each.
    #[must_use]
    pub fn publications(&self) -> Publications {
        Publications(Folder::new(self.folder().join("published"), LIMIT))
    }
}

impl Publications {
    /// Leaves what a container publishes.
    ///
    /// # Errors
    /// It cannot be written, or is more than a container may publish.
    pub fn write(&self, attachment: &Attachment, published: &Published) -> Result<(), Error> {
        if published.ports.len() > MAX_PORTS {
            return Err(Error::Refused(format!("a container publishes at most {MAX_PORTS} ports on every host")));
        }
        let name = name_of(attachment);
        let text = serde_json::to_vec(published).unwrap_or_default();
        self.0.write(&name, &text).map_err(Error::file("write", &self.0.path_of(&name)))
    }

    /// What a container publishes; `None` if that is nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, attachment: &Attachment) -> Result<Option<Published>, Error> {
        let (name, broken) = (name_of(attachment), |path| move |source| Error::Broken { path, source });
        let path = self.0.path_of(&name);
        let text = self.0.read(&name).map_err(Error::file("read", &path))?;
        text.map(|text| serde_json::from_slice(&text).map_err(broken(path))).transpose()
    }

    /// Removes what a container publishes; `false` if that is nothing.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<bool, Error> {
        let name = name_of(attachment);
        let path = self.0.path_of(&name);
        let is_there = path.symlink_metadata().is_ok();
        self.0.remove(&name).map_err(Error::file("remove", &path))?;
        Ok(is_there)
    }

    /// The attachments that publish something.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn attachments(&self) -> Result<Vec<Attachment>, Error> {
        let names = self.0.names().map_err(Error::file("list", self.0.path()))?;
        Ok(names.iter().filter_map(|name| attachment_of(name.to_str()?)).collect())
    }

    /// Whether a container publishes a port, on any network.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_of(&self, port: Port, container: &ContainerId) -> Result<bool, Error> {
        let mut its = self.attachments()?.into_iter().filter(|attachment| attachment.container == *container);
        let has_it = |published: Published| published.ports.iter().any(|mapping| mapping.port == port);
        Ok(its.any(|attachment| self.read(&attachment).ok().flatten().is_some_and(has_it)))
    }

    /// What attachments publish on an overlay network. A record that cannot be read publishes nothing.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn on(&self, network: &NetworkName) -> Result<BTreeMap<Attachment, Published>, Error> {
        let read = |attachment: Attachment| {
            let published = self.read(&attachment).ok().flatten()?;
            (published.network == *network).then_some((attachment, published))
        };
        Ok(self.attachments()?.into_iter().filter_map(read).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_a_share_is_refused() {
        for good in [json!({"ipv4": 1}), json!({"ipv6": 2, "encrypted": true, "later": 1})] {
            assert!(serde_json::from_value::<Share>(good).is_ok());
        }
        for bad in [json!({}), json!({"ipv4": -1}), json!({"ipv4": 0, "ipv6": 0}), json!({"ipv4": 1_000_000}), json!(1)]
        {
            assert!(serde_json::from_value::<Share>(bad.clone()).is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<Port>(json!({"protocol": "tcp", "port": 0})).is_err());
    }

    #[test]
    fn every_number_has_addresses_of_its_own() {
        let all: std::collections::BTreeSet<IpAddr> = Number::all()
            .flat_map(|number| {
                let ways = [false, true].into_iter().flat_map(move |encrypted| number.addresses(encrypted));
                ways.chain([number.address_in_tunnel().into()])
            })
            .collect();
        assert_eq!(all.len(), 255 * 5);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_only_on_its_network() {
        let dir = tempfile::tempdir().unwrap();
        let publications = Places::new(dir.path()).publications();
        let attachment = Attachment::new("list", "c", "eth0").unwrap();
        let port = Port { protocol: Protocol::Udp, port: 53 };
        let ports = vec![Mapping { port, container_port: 5353, addresses: vec!["10.1.0.2".parse().unwrap()] }];
        let published = Published { network: NetworkName::new("net").unwrap(), ports };
        publications.write(&attachment, &published).unwrap();
        assert_eq!(publications.read(&attachment).unwrap(), Some(published.clone()));
        assert_eq!(publications.on(&published.network).unwrap().len(), 1);
        assert!(publications.on(&NetworkName::new("list").unwrap()).unwrap().is_empty());
        assert!(publications.remove(&attachment).unwrap() && !publications.remove(&attachment).unwrap());
    }
}
