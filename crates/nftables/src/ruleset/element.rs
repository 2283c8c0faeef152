//! What plugins ask for, and where it lies in the tables.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ip::Protocol;
use ipnetwork::IpNetwork;

use super::chains::{MASQUERADE_PUBLISHED, OnDemand};
use super::holder::Holder;
use super::sets::{self, Set};
use crate::expression::{Version, address_from, interface_name, octets};
use crate::object::{Data, Held};
use crate::{Error, Result};

/// A part of the ruleset, by the job that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Published ports lead to containers.
    Publish,
    /// Connections to published ports whose answers would not come back are masqueraded.
    Hairpin,
    /// Containers reach the outside under the host's address.
    Masquerade,
    /// The administrator's rules and isolation apply to containers.
    Firewall,
    /// Containers send with their own MAC address only.
    AntiSpoof,
}

/// Something that a plugin wants to be in the ruleset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Connections to a port of the host lead to a container.
    Publish {
        /// The host's address; none for all of its addresses of the container address's version.
        host: Option<IpAddr>,
        /// The transport protocol of the connections.
        protocol: Protocol,
        /// The port on the host.
        port: u16,
        /// The container's address and port.
        to: (IpAddr, u16),
    },
    /// Connections to a container's published ports from its own subnet (itself included) and from the
    /// host's loopback addresses arrive under the host's address.
    Hairpin {
        /// The container's address, of the same family as `subnet`.
        address: IpAddr,
        /// The subnet from which connections are masqueraded, the container's own.
        subnet: IpNetwork,
    },
    /// All connections to a container's published ports arrive under the host's address.
    MasqueradePublished {
        /// The address of the container that publishes the ports.
        address: IpAddr,
    },
    /// What a container sends out of its subnet leaves under the host's address.
    Masquerade {
        /// The container's address, of the same family as `subnet`.
        address: IpAddr,
        /// The subnet within which packets are not masqueraded, the container's own.
        subnet: IpNetwork,
    },
    /// What a container sends out of its subnet leaves under this address.
    Snat {
        /// The container's address, of the same family as the others.
        address: IpAddr,
        /// The subnet within which packets keep their source, the container's own.
        subnet: IpNetwork,
        /// An address of the host.
        source: IpAddr,
    },
    /// What a container forwards or is forwarded passes the administrator's chain and isolation.
    Member {
        /// The container's address, IPv4 or IPv6.
        address: IpAddr,
    },
    /// A container accepts new connections from isolated bridges only if the bridge is its own; the bridge
    /// becomes an isolated one.
    SameBridge {
        /// The container's address, IPv4 or IPv6.
        address: IpAddr,
        /// Name of the bridge that the container is connected to.
        bridge: String,
    },
    /// A container, which is a [`Element::Member`], has to do with some alone, and these with it.
    Confined {
        /// The container's address.
        address: IpAddr,
        /// With whom it has to do.
        to: Confinement,
        /// The link by which the host reaches it, and its whole network.
        link: String,
    },
    /// Other machines open connections to a container's published ports only. What [`Element::OwnLink`] and [`Element::Sender`]
    /// name does not come from other machines.
    Closed {
        /// The container's address.
        address: IpAddr,
    },
    /// What comes in by a link and leaves by it, to a [`Element::Closed`] container, stays in the container's network.
    OwnLink {
        /// The container's address.
        address: IpAddr,
        /// The link by which the host reaches the container; also the bridge, if that is the host's link into one of its VLANs.
        link: String,
    },
    /// What comes in by this link from this address comes from a container.
    Sender {
        /// The container's address.
        address: IpAddr,
        /// The link by which the host reaches the container: a bridge, the host's link into its VLAN, or a veth pair's end.
        link: String,
    },
    /// Nothing is bridged to this port; the host itself still reaches it.
    IsolatedPort {
        /// The bridge port: the host's end of the veth pair.
        port: String,
    },
    /// The port may send from this MAC address, and from no other that is not listed too.
    Mac {
        /// The bridge port: the host's end of the veth pair.
        port: String,
        /// The allowed source address of Ethernet frames.
        mac: [u8; 6],
    },
}

/// With whom a container has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confinement {
    /// With no container of another network, but for published ports.
    Apart,
    /// With the containers of its own network, and the host.
    Internal,
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { host, protocol, port, to: (address, to) } => {
                let host = match host {
                    Some(host) => host.to_string(),
                    None if address.is_ipv4() => "every IPv4 address".to_owned(),
                    None => "every IPv6 address".to_owned(),
                };
                write!(formatter, "{protocol} port {port} of {host} (for {address} port {to})")
            }
            Self::Hairpin { address, subnet } => {
                write!(formatter, "hairpin masquerade of {address} in {subnet}")
            }
            Self::MasqueradePublished { address } => write!(formatter, "masquerade of connections to {address}"),
            Self::Masquerade { address, subnet } => write!(formatter, "masquerade of {address} in {subnet}"),
            Self::Snat { address, subnet, source } => write!(formatter, "source {source} for {address} in {subnet}"),
            Self::Member { address } => write!(formatter, "firewall of {address}"),
            Self::Confined { address, link, .. } => write!(formatter, "confinement of {address} on {link}"),
            Self::SameBridge { address, bridge } => write!(formatter, "isolation of {address} on {bridge}"),
            Self::Closed { address } => write!(formatter, "closed ports of {address}"),
            Self::OwnLink { address, link } => write!(formatter, "access to {address} within {link}"),
            Self::Sender { address, link } => write!(formatter, "sender {address} on {link}"),
            Self::IsolatedPort { port } => write!(formatter, "isolation of bridge port {port}"),
            Self::Mac { port, mac } => {
                write!(formatter, "MAC address {} of bridge port {port}", written_mac(mac))
            }
        }
    }
}

fn written_mac(mac: &[u8]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// One element of one set, as it has to be, and the chain that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) set: &'static Set,
    pub(super) held: Held,
    pub(super) chain: Option<OnDemand>,
    /// Which of the plugin's elements asks for it.
    pub(super) element: usize,
}

/// The entries for `elements`, without duplicates.
pub(super) fn entries(holder: Holder<'_>, elements: &[Element]) -> Result<Vec<Entry>> {
    let mut all: Vec<Entry> = Vec::with_capacity(elements.len() + 2);
    let mut known = BTreeMap::new();
    for (index, element) in elements.iter().enumerate() {
        for (set, key, wanted) in element.keys()? {
            let data = wanted.as_ref().map(Wanted::data);
            match known.entry((set.name, key)) {
                Place::Vacant(place) => {
                    let (label, link) = (holder.label.to_owned(), holder.link.map(str::to_owned));
                    let held = Held { key: place.key().1.clone(), data: data.clone(), label, link };
                    all.push(Entry { set, held, chain: wanted.and_then(Wanted::chain), element: index });
                    place.insert(data);
                }
                Place::Occupied(same) if *same.get() == data => {}
                Place::Occupied(_) => {
                    return Err(Error::Taken { element: Box::new(element.clone()), holder: holder.label.to_owned() });
                }
            }
        }
    }
    Ok(all)
}

/// Where `elements` lie, each place once; nowhere if they are such that they cannot have been inserted.
pub(super) fn places(elements: &[Element]) -> impl Iterator<Item = (&'static Set, Vec<u8>)> {
    let mut known = BTreeSet::new();
    let keys = elements.iter().flat_map(|element| element.keys().unwrap_or_default());
    keys.map(|(set, key, _)| (set, key)).filter(move |(set, key)| known.insert((set.name, key.clone())))
}

/// What a map's element is to hold.
enum Wanted {
    Value(Vec<u8>),
    Chain(OnDemand),
    /// A chain of the skeleton.
    Jump(&'static str),
}

impl Wanted {
    fn chain(self) -> Option<OnDemand> {
        match self {
            Self::Chain(chain) => Some(chain),
            _ => None,
        }
    }

    fn data(&self) -> Data {
        match self {
            Self::Value(bytes) => Data::Value(bytes.clone()),
            Self::Jump(chain) => Data::Jump((*chain).to_owned()),
            Self::Chain(chain @ OnDemand::ToBridge(_)) => Data::Goto(chain.name()),
            Self::Chain(chain) => Data::Jump(chain.name()),
        }
    }
}

type Key = (&'static Set, Vec<u8>, Option<Wanted>);

impl Element {
    fn keys(&self) -> Result<Vec<Key>> {
        Ok(match self {
            Self::Publish { host, protocol, port, to } => vec![publish(*host, *protocol, *port, *to)?],
            Self::Hairpin { address, subnet } => {
                same_version(*address, subnet.ip())?;
                let chain = OnDemand::Hairpin(network(*subnet));
                vec![(sets::hairpin(Version::of(*address)), octets(*address), Some(Wanted::Chain(chain)))]
            }
            Self::MasqueradePublished { address } => {
                vec![(sets::hairpin(Version::of(*address)), octets(*address), Some(Wanted::Jump(MASQUERADE_PUBLISHED)))]
            }
            Self::Masquerade { address, subnet } => {
                same_version(*address, subnet.ip())?;
                let chain = OnDemand::Masquerade(network(*subnet));
                vec![(sets::masquerade(Version::of(*address)), octets(*address), Some(Wanted::Chain(chain)))]
            }
            Self::Snat { address, subnet, source } => {
                same_version(*address, subnet.ip())?;
                same_version(*address, *source)?;
                let chain = OnDemand::Snat(network(*subnet), *source);
                vec![(sets::masquerade(Version::of(*address)), octets(*address), Some(Wanted::Chain(chain)))]
            }
            Self::Confined { address, to, link } => {
                let chain = OnDemand::Confined(*to, interface(link)?.to_owned());
                vec![(sets::confined(Version::of(*address)), octets(*address), Some(Wanted::Chain(chain)))]
            }
            Self::Member { address } => vec![(sets::members(Version::of(*address)), octets(*address), None)],
            Self::SameBridge { address, bridge } => {
                let chain = OnDemand::ToBridge(interface(bridge)?.to_owned());
                vec![(sets::isolated(Version::of(*address)), octets(*address), Some(Wanted::Chain(chain)))]
            }
            Self::Closed { address } => vec![(sets::closed(Version::of(*address)), octets(*address), None)],
            Self::OwnLink { address, link } => {
                let link = interface_name(interface(link)?);
                let key = [&link[..], &link, &octets(*address)].concat();
                vec![(sets::own_link(Version::of(*address)), key, None)]
            }
            Self::Sender { address, link } => {
                let key = [&interface_name(interface(link)?)[..], &octets(*address)].concat();
                vec![(sets::senders(Version::of(*address)), key, None)]
            }
            Self::IsolatedPort { port } => {
                vec![(&sets::ISOLATED_PORTS, interface_name(interface(port)?).to_vec(), None)]
            }
            Self::Mac { port, mac } => {
                let port = interface_name(interface(port)?);
                // The address is padded to whole registers of four bytes.
                let pair = [&port[..], mac, &[0; 2]].concat();
                vec![(&sets::GUARDED_PORTS, port.to_vec(), None), (&sets::GUARDED_MACS, pair, None)]
            }
        })
    }
}

fn publish(host: Option<IpAddr>, protocol: Protocol, port: u16, (to, to_port): (IpAddr, u16)) -> Result<Key> {
    let version = Version::of(to);
    let mut key = Vec::with_capacity(24);
    if let Some(host) = host {
        same_version(host, to)?;
        key.extend(octets(host));
    }
    key.extend([protocol.number(), 0, 0, 0]);
    key.extend(padded(port));
    let value = [octets(to), padded(to_port).to_vec()].concat();
    Ok((sets::published(version, host.is_none()), key, Some(Wanted::Value(value))))
}

/// A port in network byte order, padded to a register of four bytes.
fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn same_version(one: IpAddr, other: IpAddr) -> Result<()> {
    if one.is_ipv4() == other.is_ipv4() { Ok(()) } else { Err(Error::Versions(one, other)) }
}

/// The subnet without host bits, so that all its containers name the same chain.
pub(super) fn network(subnet: IpNetwork) -> IpNetwork {
    IpNetwork::new(subnet.network(), subnet.prefix()).unwrap_or(subnet)
}

fn interface(name: &str) -> Result<&str> {
    let forbidden = |char: char| char == '/' || char == ':' || char == '\0' || char.is_whitespace();
    if name.is_empty() || name.len() > 15 || name.contains(forbidden) {
        return Err(Error::InterfaceName(name.to_owned()));
    }
    Ok(name)
}

/// An element in the words of a person who reads the state.
pub(super) fn describe(set: &Set, held: &Held) -> String {
    let key = match (set.part, set.key) {
        (Part::Publish, _) => describe_published(&held.key),
        (_, sets::IFNAME) => text(&held.key),
        (_, sets::IFNAME_MAC) => {
            let (port, mac) = held.key.split_at_checked(16).unwrap_or((&held.key, &[]));
            format!("{} {}", text(port), written_mac(mac.get(..6).unwrap_or(mac)))
        }
        _ => describe_address(&held.key),
    };
    let target = match &held.data {
        None => String::new(),
        Some(Data::Jump(chain) | Data::Goto(chain)) => format!(" -> {chain}"),
        Some(Data::Value(value)) => {
            let (address, port) = value.split_at_checked(value.len().saturating_sub(4)).unwrap_or((&[], &[]));
            let address = address_from(address).map(|address| address.to_string()).unwrap_or_default();
            format!(" -> {address} port {}", port_in(port))
        }
    };
    format!("{} {key}{target}", set.name)
}

/// An address, behind the links that its key begins with.
fn describe_address(key: &[u8]) -> String {
    match (address_from(key), key.split_at_checked(16)) {
        (Some(address), _) => address.to_string(),
        (None, Some((link, rest))) => format!("{} {}", text(link), describe_address(rest)),
        (None, None) => format!("{key:?}"),
    }
}

fn describe_published(key: &[u8]) -> String {
    let address_length = key.len().saturating_sub(8);
    let (address, rest) = key.split_at_checked(address_length).unwrap_or((&[], key));
    let number = rest.first().copied().unwrap_or(0);
    let protocol = Protocol::ALL.into_iter().find(|known| known.number() == number);
    let protocol = protocol.map_or_else(|| number.to_string(), |known| known.to_string());
    let port = port_in(rest.get(4..).unwrap_or(&[]));
    match address_from(address) {
        Some(address) => format!("{address} {protocol} {port}"),
        None => format!("{protocol} {port}"),
    }
}

fn port_in(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
