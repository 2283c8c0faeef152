//! Where what stands in etcd.

use std::fmt;
use std::net::IpAddr;

use cni::{Attachment, ContainerId, IfName, NetworkName};

use ip::Protocol;

use crate::ingress::{Number, Port};
use crate::{Block, HostId, Nonsense, Vni};

/// What every key begins with; the number grows when what the keys mean changes.
pub const PREFIX: &str = "/ferrocni/v1/";
/// Longer than any key that makes sense, in bytes.
const LONGEST: usize = 512;
/// Longer than any value that makes sense, in bytes.
const LONGEST_VALUE: usize = 64 << 10;

/// A key, without [`PREFIX`]; [`fmt::Display`] writes it with that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `cluster`: what all hosts agree on.
    Cluster,
    /// `created`: how many networks there have been. Whoever creates one compares it, so that it is known that subnets do not overlap.
    Created,
    /// `hosts/<id>`: a host.
    Host(HostId),
    /// `alive/<id>`: it lives, as of a minute ago at most.
    Alive(HostId),
    /// `vni/<number>`: the network that has it.
    Vni(Vni),
    /// `subnets/<subnet>`: the network that has it.
    Subnet(Block),
    /// `nets/<network>/config`: what it is.
    Network(NetworkName),
    /// `nets/<network>/blocks/<block>`: the host that owns it.
    Block(NetworkName, Block),
    /// `nets/<network>/addrs/<block>/<address>`: the host that has it although it does not own the block. That the block is named lets
    /// whoever claims it learn of them in the same transaction.
    Address(NetworkName, Block, IpAddr),
    /// `nets/<network>/names/<host>/<container>:<interface>`: an endpoint.
    Endpoint(HostId, Attachment),
    /// `ingress/<protocol>/<port>/<network>/<host>`: a port that every host answers, and what that host has behind it.
    Ingress(Port, NetworkName, HostId),
    /// `ingress-number/<number>`: the host that has it.
    Number(Number),
}

impl Key {
    /// Reads a key as it came from etcd.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(bytes: &[u8]) -> Result<Self, Nonsense> {
        let nonsense = |reason: &str| Nonsense::new(bytes, reason);
        if bytes.len() > LONGEST {
            return Err(nonsense("the key is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| nonsense("the key is not UTF-8"))?;
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| nonsense("the key is not below the prefix"))?;
        let words: Vec<_> = rest.split('/').collect();
        let key = Self::from_words(&words).map_err(|reason| Nonsense::new(bytes, reason))?;
        if key.to_string() == text { Ok(key) } else { Err(nonsense("the key is not written as it should be")) }
    }

    fn from_words(words: &[&str]) -> Result<Self, String> {
        let name = |text: &str| NetworkName::new(text).map_err(|error| error.to_string());
        Ok(match words {
            ["cluster"] => Self::Cluster,
            ["created"] => Self::Created,
            ["hosts", id] => Self::Host(HostId::parse(id)?),
            ["alive", id] => Self::Alive(HostId::parse(id)?),
            ["vni", number] => Self::Vni(vni(number)?),
            ["subnets", subnet] => Self::Subnet(Block::from_key(subnet)?),
            ["nets", network, "config"] => Self::Network(name(network)?),
            ["nets", network, "blocks", block] => Self::Block(name(network)?, Block::from_key(block)?),
            ["nets", network, "addrs", block, address] => {
                let (block, address) = (Block::from_key(block)?, self::address(address)?);
                if !block.contains(address) {
                    return Err(format!("{address} is not in {block}"));
                }
                Self::Address(name(network)?, block, address)
            }
            ["nets", network, "names", host, endpoint] => {
                let (container, interface) = endpoint.split_once(':').ok_or("there is no colon")?;
                let container = ContainerId::new(container).map_err(|error| error.to_string())?;
                let ifname = IfName::new(interface).map_err(|error| error.to_string())?;
                Self::Endpoint(HostId::parse(host)?, Attachment { network: name(network)?, container, ifname })
            }
            ["ingress", protocol, port, network, host] => {
                Self::Ingress(self::port(protocol, port)?, name(network)?, HostId::parse(host)?)
            }
            ["ingress-number", number] => {
                let number: u8 = number.parse().map_err(|_| "it is no number up to 255".to_owned())?;
                Self::Number(Number::try_from(number)?)
            }
            _ => return Err("no key of this kind is known".to_owned()),
        })
    }

    /// The network that it belongs to, if any.
    #[must_use]
    pub fn network(&self) -> Option<&NetworkName> {
        match self {
            Self::Network(network) | Self::Block(network, _) | Self::Address(network, ..) => Some(network),
            Self::Endpoint(_, attachment) => Some(&attachment.network),
            _ => None,
        }
    }

    /// What a network's keys begin with.
    #[must_use]
    pub fn of_network(network: &NetworkName) -> String {
        format!("{PREFIX}nets/{network}/")
    }

    /// What the keys of its blocks begin with.
    #[must_use]
    pub fn blocks_of(network: &NetworkName) -> String {
        format!("{PREFIX}nets/{network}/blocks/")
    }

    /// What the keys of the addresses in a block begin with that others have than its owner.
    #[must_use]
    pub fn addresses_in(network: &NetworkName, block: Block) -> String {
        format!("{PREFIX}nets/{network}/addrs/{}/", block.in_key())
    }

    /// What the keys of its endpoints begin with.
    #[must_use]
    pub fn endpoints_of(network: &NetworkName) -> String {
        format!("{PREFIX}nets/{network}/names/")
    }

    /// What the keys of its endpoints on one host begin with.
    #[must_use]
    pub fn endpoints_on(network: &NetworkName, host: &HostId) -> String {
        format!("{PREFIX}nets/{network}/names/{host}/")
    }

    /// What the keys of a port begin with that every host answers.
    #[must_use]
    pub fn of_port(port: Port) -> String {
        format!("{PREFIX}ingress/{}/{}/", port.protocol, port.port)
    }

    /// Those of them that are of one network.
    #[must_use]
    pub fn of_port_on(port: Port, network: &NetworkName) -> String {
        format!("{}{network}/", Self::of_port(port))
    }

    /// What the keys of a kind begin with: `hosts`, `alive`, `nets`, `subnets`, `vni`.
    #[must_use]
    pub fn all(kind: &str) -> String {
        format!("{PREFIX}{kind}/")
    }
}

/// Reads a key's value.
///
/// # Errors
/// It is too long, or not what the key stands for.
pub fn value<T: serde::de::DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Nonsense> {
    if value.len() > LONGEST_VALUE {
        return Err(Nonsense::new(key, "the value is too long"));
    }
    serde_json::from_slice(value).map_err(|error| Nonsense::new(key, error.to_string()))
}

fn port(protocol: &str, port: &str) -> Result<Port, String> {
    let known = Protocol::ALL.into_iter().find(|known| known.to_string() == protocol);
    let protocol = known.ok_or("it is no protocol with ports")?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or("it is no port")?;
    Ok(Port { protocol, port })
}

fn vni(text: &str) -> Result<Vni, String> {
    let number: u32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    Vni::try_from(number).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "it is no IP address".to_owned())
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PREFIX)?;
        match self {
            Self::Cluster => formatter.write_str("cluster"),
            Self::Created => formatter.write_str("created"),
            Self::Host(id) => write!(formatter, "hosts/{id}"),
            Self::Alive(id) => write!(formatter, "alive/{id}"),
            Self::Vni(vni) => write!(formatter, "vni/{vni}"),
            Self::Subnet(subnet) => write!(formatter, "subnets/{}", subnet.in_key()),
            Self::Network(network) => write!(formatter, "nets/{network}/config"),
            Self::Block(network, block) => write!(formatter, "nets/{network}/blocks/{}", block.in_key()),
            Self::Address(network, block, address) => {
                write!(formatter, "nets/{network}/addrs/{}/{address}", block.in_key())
            }
            Self::Endpoint(host, Attachment { network, container, ifname }) => {
                write!(formatter, "nets/{network}/names/{host}/{container}:{ifname}")
            }
            Self::Ingress(Port { protocol, port }, network, host) => {
                write!(formatter, "ingress/{protocol}/{port}/{network}/{host}")
            }
            Self::Number(number) => write!(formatter, "ingress-number/{number}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = HostId::EXAMPLE;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in [
            "cluster".to_owned(),
            "created".to_owned(),
            format!("hosts/{ID}"),
            format!("alive/{ID}"),
            "vni/4097".to_owned(),
            "subnets/10.128.0.0-16".to_owned(),
            "nets/a.b-c/config".to_owned(),
            "nets/n/blocks/10.128.3.64-26".to_owned(),
            "nets/n/addrs/fd00::-112/fd00::5".to_owned(),
            format!("nets/n/names/{ID}/c1:eth0"),
            format!("ingress/tcp/8080/n/{ID}"),
            "ingress-number/255".to_owned(),
        ] {
            let text = format!("{PREFIX}{text}");
            assert_eq!(Key::parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_told_shortly_and_harmlessly() {
        let long = "n".repeat(10_000);
        for text in [
            "/other/cluster",
            "/ferrocni/v1/",
            "/ferrocni/v1/hosts/h1",
            "/ferrocni/v1/nets/../config",
            "/ferrocni/v1/nets/a b/config",
            "/ferrocni/v1/nets/n/blocks/10.0.0.1-26",
            "/ferrocni/v1/nets/n/blocks/banana",
            "/ferrocni/v1/nets/n/addrs/10.0.0.0-26/010.0.0.1",
            "/ferrocni/v1/nets/n/addrs/10.0.0.0-26/10.0.0.64",
            "/ferrocni/v1/nets/n/addrs/fd00::-112/fd00:0::5",
            "/ferrocni/v1/vni/04097",
            "/ferrocni/v1/vni/16777216",
            "/ferrocni/v1/ingress/tcp/0/n/00000000-0000-4000-8000-000000000000",
            "/ferrocni/v1/ingress/tcp/65536/n/00000000-0000-4000-8000-000000000000",
            "/ferrocni/v1/ingress/tcp/080/n/00000000-0000-4000-8000-000000000000",
            "/ferrocni/v1/ingress/icmp/80/n/00000000-0000-4000-8000-000000000000",
            "/ferrocni/v1/ingress/tcp/80/n/h1",
            "/ferrocni/v1/ingress-number/0",
            "/ferrocni/v1/ingress-number/256",
            "/ferrocni/v1/\u{1b}[2J",
            &format!("/ferrocni/v1/nets/{long}/config"),
        ] {
            let error = Key::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
        }
        assert!(Key::parse(b"/ferrocni/v1/hosts/\xff").is_err());
    }
}
