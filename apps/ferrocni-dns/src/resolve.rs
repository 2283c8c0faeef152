//! What an asker is told about a name.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use domain::base::Rtype;
use names::{Name, Protocol};

use crate::directory::{Directory, Entry, Named};
use crate::reply::Data;

/// The names by which a container reaches its host.
const HOST: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// It is known, with these records of the type that was asked for, if any.
    Known { answers: Vec<Data>, additional: Vec<(Name, IpAddr)>, ttl: u32 },
    /// It is not known; if it is one of ours, nobody else can know it.
    Unknown { is_ours: bool },
}

/// Addresses, and how long they may be kept.
#[derive(Debug, Default)]
struct Found {
    is_known: bool,
    addresses: Vec<IpAddr>,
    ttl: Option<u32>,
}

/// Looks a name up for a namespace whose records are `asker`.
pub(crate) fn resolve(directory: &Directory, asker: &[Rc<Entry>], name: &str, kind: Rtype) -> Resolution {
    let found = addresses(directory, asker, name);
    if found.is_known {
        return found.answered(kind);
    }
    if let Some(address) = reversed(name) {
        return reverse(asker.iter().flat_map(|own| directory.at(own, address)), kind);
    }
    if let Some((port, protocol, target)) = service(name)
        && let Some(resolution) = publishes(directory, asker, (protocol, port), target, kind)
    {
        return resolution;
    }
    Resolution::Unknown { is_ours: asker.iter().any(|own| has_link(own, name) || directory.is_ours(own, name)) }
}

/// Looks a name up for the host, which is on no network, and to which all networks are known.
pub(crate) fn resolve_for_host(directory: &Directory, name: &str, kind: Rtype) -> Resolution {
    let mut found = Found::default();
    found.add(&directory.named_with_network(name));
    match reversed(name) {
        _ if found.is_known => found.answered(kind),
        Some(address) => reverse(&directory.at_anywhere(address), kind),
        // A network may be called like a domain of others.
        None => Resolution::Unknown { is_ours: false },
    }
}

fn known(answers: Vec<Data>, ttl: Option<u32>) -> Resolution {
    Resolution::Known { answers, additional: Vec::new(), ttl: ttl.unwrap_or(0) }
}

/// What the asker alone knows comes first, then what its networks know, and then the host.
fn addresses(directory: &Directory, asker: &[Rc<Entry>], name: &str) -> Found {
    let mut found = hosts(asker, name);
    if !found.is_known {
        for own in asker {
            for link in own.record.links.iter().filter(|link| link.alias.as_str() == name) {
                found.add(&directory.linked(own, &link.container));
            }
        }
    }
    if !found.is_known {
        let mut networks = HashSet::new();
        for own in asker.iter().filter(|own| networks.insert(&own.attachment.network)) {
            found.add(&directory.named(own, name));
        }
    }
    if !found.is_known && HOST.contains(&name) {
        found = gateways(asker);
    }
    let mut listed = HashSet::new();
    found.addresses.retain(|address| listed.insert(*address));
    found
}

impl Found {
    fn answered(self, kind: Rtype) -> Resolution {
        let wanted = self.addresses.into_iter().filter(|address| match kind {
            Rtype::A => address.is_ipv4(),
            Rtype::AAAA => address.is_ipv6(),
            _ => false,
        });
        known(wanted.map(Data::Address).collect(), self.ttl)
    }

    /// Adds containers of one network, in any order.
    fn add(&mut self, containers: &[Rc<Named>]) {
        let mut addresses: Vec<_> = containers.iter().flat_map(|named| named.known.addresses.iter().copied()).collect();
        fastrand::shuffle(&mut addresses);
        self.is_known |= !containers.is_empty();
        self.addresses.extend(addresses);
        self.ttl = containers.iter().map(|named| named.known.ttl).chain(self.ttl).min();
    }
}

fn hosts(asker: &[Rc<Entry>], name: &str) -> Found {
    let mut found = Found::default();
    for own in asker {
        for host in own.record.hosts.iter().filter(|host| host.name.as_str() == name) {
            found.is_known = true;
            found.addresses.extend(&host.addresses);
            found.ttl = Some(own.record.ttl);
        }
    }
    found
}

/// The gateway of the first network that has one, of each family.
fn gateways(asker: &[Rc<Entry>]) -> Found {
    let first = |is_wanted: fn(&IpAddr) -> bool| {
        asker.iter().find_map(|own| own.record.gateways.iter().copied().find(is_wanted))
    };
    let addresses: Vec<_> = [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)].into_iter().flatten().collect();
    Found { is_known: !addresses.is_empty(), addresses, ttl: asker.first().map(|own| own.record.ttl) }
}

fn has_link(own: &Entry, name: &str) -> bool {
    own.record.links.iter().any(|link| link.alias.as_str() == name)
}

/// What is said of an address by those who have it.
fn reverse<'a>(holders: impl IntoIterator<Item = &'a Rc<Named>>, kind: Rtype) -> Resolution {
    let found: Vec<_> = holders.into_iter().collect();
    if found.is_empty() {
        return Resolution::Unknown { is_ours: false };
    }
    let mut names = HashSet::new();
    let pointers = found.iter().filter_map(|named| named.full_name()).filter(|name| names.insert(name.clone()));
    let answers = if kind == Rtype::PTR { pointers.map(Data::Pointer).collect() } else { Vec::new() };
    known(answers, found.iter().map(|named| named.known.ttl).min())
}

/// What is known of a port of `target`; nothing if that is not known itself.
fn publishes(
    directory: &Directory,
    asker: &[Rc<Entry>],
    (protocol, port): (Protocol, u16),
    target: &str,
    kind: Rtype,
) -> Option<Resolution> {
    let found: Vec<_> = asker.iter().flat_map(|own| directory.named(own, target)).collect();
    let publishing: Vec<_> = found
        .iter()
        .filter(|named| named.known.ports.iter().any(|its| its.protocol == protocol && its.port == port))
        .collect();
    if publishing.is_empty() {
        return (!found.is_empty()).then_some(Resolution::Unknown { is_ours: true });
    }
    let ttl = publishing.iter().map(|named| named.known.ttl).min();
    if kind != Rtype::SRV {
        return Some(known(Vec::new(), ttl));
    }
    let target = Name::new(target).ok()?;
    let mut addresses: Vec<_> = publishing.iter().flat_map(|named| &named.known.addresses).collect();
    let mut listed = HashSet::new();
    addresses.retain(|address| listed.insert(*address));
    Some(Resolution::Known {
        additional: addresses.into_iter().map(|address| (target.clone(), *address)).collect(),
        answers: vec![Data::Service { port, target }],
        ttl: ttl.unwrap_or(0),
    })
}

/// The port, the protocol and the rest of `_port._protocol.name`.
fn service(name: &str) -> Option<(u16, Protocol, &str)> {
    let (port, rest) = name.strip_prefix('_')?.split_once("._")?;
    let (protocol, target) = rest.split_once('.')?;
    let protocol = Protocol::ALL.into_iter().find(|known| known.to_string() == protocol)?;
    Some((port.parse().ok()?, protocol, target))
}

/// The address that a reverse question is about (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let labels: Vec<_> = labels.split('.').collect();
        for (octet, label) in octets.iter_mut().rev().zip((labels.len() == 4).then_some(&labels)?) {
            *octet = label.parse().ok()?;
        }
        return Some(Ipv4Addr::from(octets).into());
    }
    let labels: Vec<_> = name.strip_suffix(".ip6.arpa")?.split('.').collect();
    let mut bits = 0;
    for label in (labels.len() == 32).then_some(&labels)?.iter().rev() {
        let digit = u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1)?;
        bits = bits << 4 | digit;
    }
    Some(Ipv6Addr::from(bits).into())
}
