//! Who is called what, and who may know.
//!
//! Finding a name costs the same with ten containers and with thousands: it is looked up in a map of each network of the asker.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::rc::Rc;

use cni::{Attachment, ContainerId, NetworkName};
use names::{Name, Record};
use netlink::NetnsId;

/// All records, by everything that they are looked for by.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: HashMap<Attachment, Rc<Entry>>,
    networks: HashMap<NetworkName, Network>,
    /// Those of a namespace in the order of its interfaces.
    askers: HashMap<NetnsId, Vec<Rc<Entry>>>,
    containers: HashMap<ContainerId, Vec<Rc<Entry>>>,
}

/// A record and whose it is.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) attachment: Attachment,
    pub(crate) record: Record,
    short_id: Option<Name>,
}

/// The records of a network.
#[derive(Debug, Default)]
struct Network {
    names: HashMap<Name, Vec<Rc<Entry>>>,
    addresses: HashMap<IpAddr, Vec<Rc<Entry>>>,
    domains: HashMap<Name, usize>,
    /// How many of the records are of pods.
    pods: usize,
    records: usize,
}

impl Entry {
    pub(crate) fn new(attachment: Attachment, record: Record) -> Self {
        let short_id = attachment.container.as_str().get(..SHORT_ID).and_then(|id| Name::new(id).ok());
        Self { attachment, record, short_id }
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        let all: HashSet<_> = self.record.name.iter().chain(&self.record.aliases).chain(&self.short_id).collect();
        all.into_iter()
    }

    /// What reverse questions are answered with: the name, as others find it whatever their search domain is.
    pub(crate) fn full_name(&self) -> Option<Name> {
        let name = self.record.name.as_ref().or(self.record.aliases.first()).or(self.short_id.as_ref())?;
        let network = Name::new(self.attachment.network.as_str()).ok();
        let domain = self.record.domain.as_ref().or(network.as_ref());
        Some(domain.and_then(|domain| name.below(domain)).unwrap_or_else(|| name.clone()))
    }
}

/// The length of a container's short id.
const SHORT_ID: usize = 12;

impl Directory {
    /// Takes a record in, instead of an earlier one of the attachment.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.remove(&entry.attachment);
        let entry = Rc::new(entry);
        self.networks.entry(entry.attachment.network.clone()).or_default().insert(&entry);
        let siblings = self.askers.entry(entry.record.namespace.id()).or_default();
        siblings.push(Rc::clone(&entry));
        siblings.sort_by(|one, other| order(one).cmp(&order(other)));
        self.containers.entry(entry.attachment.container.clone()).or_default().push(Rc::clone(&entry));
        self.entries.insert(entry.attachment.clone(), entry);
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, attachment: &Attachment) -> Option<Rc<Entry>> {
        let entry = self.entries.remove(attachment)?;
        if let Some(network) = self.networks.get_mut(&attachment.network) {
            network.remove(&entry);
            if network.records == 0 {
                self.networks.remove(&attachment.network);
            }
        }
        take_out(&mut self.askers, &entry.record.namespace.id(), &entry);
        take_out(&mut self.containers, &attachment.container, &entry);
        Some(entry)
    }

    pub(crate) fn get(&self, attachment: &Attachment) -> Option<&Rc<Entry>> {
        self.entries.get(attachment)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Rc<Entry>> {
        self.entries.values()
    }

    pub(crate) fn namespaces(&self) -> usize {
        self.askers.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The names of all networks, each as often as it is one.
    pub(crate) fn names(&self) -> usize {
        self.networks.values().map(|network| network.names.len()).sum()
    }

    /// The records of a namespace, in the order of its interfaces: `eth2` is before `eth10`.
    pub(crate) fn of_namespace(&self, namespace: NetnsId) -> &[Rc<Entry>] {
        self.askers.get(&namespace).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn of_container(&self, container: &str) -> Option<&Rc<Entry>> {
        let container = ContainerId::new(container).ok()?;
        self.containers.get(&container)?.first()
    }

    /// Who has the address on a network with that gateway.
    pub(crate) fn behind_gateway(&self, gateway: IpAddr, address: IpAddr) -> Option<&Rc<Entry>> {
        let on = |network: &'_ Network| {
            network.addresses.get(&address)?.iter().position(|entry| entry.record.gateways.contains(&gateway))
        };
        self.networks.values().find_map(|network| Some(&network.addresses[&address][on(network)?]))
    }

    /// Those on the network of `own` that are found by a name, each once.
    pub(crate) fn named(&self, own: &Entry, name: &str) -> Vec<Rc<Entry>> {
        let Some(network) = self.networks.get(&own.attachment.network) else { return Vec::new() };
        let mut found = network.bare(name, own);
        if let Some(name) = below(name, own.attachment.network.as_str()) {
            found.extend(network.bare(name, own));
        }
        for domain in network.domains.keys() {
            let Some(name) = below(name, domain.as_str()) else { continue };
            found.extend(
                network.bare(name, own).into_iter().filter(|entry| entry.record.domain.as_ref() == Some(domain)),
            );
        }
        let mut known = HashSet::new();
        found.retain(|entry| known.insert(Rc::as_ptr(entry)));
        found.into_iter().map(Rc::clone).collect()
    }

    /// Those that are called `name.network`, whichever network that is.
    pub(crate) fn named_with_network(&self, name: &str) -> Vec<Rc<Entry>> {
        let on = |(network, records): (&NetworkName, &'_ Network)| -> Vec<Rc<Entry>> {
            let found = below(name, network.as_str()).and_then(|name| records.names.get(name));
            found.map(|found| found.iter().map(Rc::clone).collect()).unwrap_or_default()
        };
        self.networks.iter().flat_map(on).collect()
    }

    /// Those that have an address, on any network.
    pub(crate) fn at_anywhere(&self, address: IpAddr) -> Vec<Rc<Entry>> {
        let found = self.networks.values().filter_map(|network| network.addresses.get(&address));
        found.flatten().map(Rc::clone).collect()
    }

    /// Those on the network of `own` that are meant by a link.
    pub(crate) fn linked(&self, own: &Entry, container: &str) -> Vec<Rc<Entry>> {
        let by_id = ContainerId::new(container).ok().and_then(|id| self.containers.get(&id));
        let mut found: Vec<_> = by_id.into_iter().flatten().map(Rc::clone).collect();
        found.retain(|entry| entry.attachment.network == own.attachment.network);
        if found.is_empty() { self.named(own, &container.to_ascii_lowercase()) } else { found }
    }

    /// Those on the network of `own` that have an address.
    pub(crate) fn at(&self, own: &Entry, address: IpAddr) -> &[Rc<Entry>] {
        let network = self.networks.get(&own.attachment.network);
        network.and_then(|network| network.addresses.get(&address)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether nobody else than the containers on the network of `own` can have the name.
    pub(crate) fn is_ours(&self, own: &Entry, name: &str) -> bool {
        let is_in = |domain: &Name| name == domain.as_str() || below(name, domain.as_str()).is_some();
        self.networks.get(&own.attachment.network).is_some_and(|network| network.domains.keys().any(is_in))
    }
}

impl Network {
    fn insert(&mut self, entry: &Rc<Entry>) {
        for name in entry.names() {
            self.names.entry(name.clone()).or_default().push(Rc::clone(entry));
        }
        for address in entry.record.addresses.iter().collect::<HashSet<_>>() {
            self.addresses.entry(*address).or_default().push(Rc::clone(entry));
        }
        if let Some(domain) = &entry.record.domain {
            *self.domains.entry(domain.clone()).or_default() += 1;
        }
        self.pods += usize::from(entry.record.pod_namespace.is_some());
        self.records += 1;
    }

    fn remove(&mut self, entry: &Rc<Entry>) {
        for name in entry.names() {
            take_out(&mut self.names, name, entry);
        }
        for address in entry.record.addresses.iter().collect::<HashSet<_>>() {
            take_out(&mut self.addresses, address, entry);
        }
        if let Some(domain) = &entry.record.domain
            && let Some(records) = self.domains.get_mut(domain)
        {
            *records -= 1;
            if *records == 0 {
                self.domains.remove(domain);
            }
        }
        self.pods -= usize::from(entry.record.pod_namespace.is_some());
        self.records -= 1;
    }

    /// Those with that name, or, if it ends with a pod's namespace, with what is before that. A pod's own namespace comes first.
    fn bare(&self, name: &str, asker: &Entry) -> Vec<&Rc<Entry>> {
        let with = |name: &str| self.names.get(name).into_iter().flatten();
        let mut found: Vec<_> = with(name).collect();
        if self.pods == 0 {
            return found;
        }
        let namespace = asker.record.pod_namespace.as_ref();
        if namespace.is_some() && found.iter().any(|entry| entry.record.pod_namespace.as_ref() == namespace) {
            found.retain(|entry| entry.record.pod_namespace.as_ref() == namespace);
        }
        if let Some((name, namespace)) = name.rsplit_once('.') {
            let is_in =
                |entry: &&Rc<Entry>| entry.record.pod_namespace.as_ref().is_some_and(|its| its.as_str() == namespace);
            found.extend(with(name).filter(is_in));
        }
        found
    }
}

/// What is before `.domain` in a name.
fn below<'a>(name: &'a str, domain: &str) -> Option<&'a str> {
    let start = name.len().checked_sub(domain.len())?;
    let (before, after) = name.split_at_checked(start)?;
    after.eq_ignore_ascii_case(domain).then_some(before)?.strip_suffix('.')
}

/// Takes one entry out of a list in a map, and an empty list out of the map.
fn take_out<K: Eq + Hash>(map: &mut HashMap<K, Vec<Rc<Entry>>>, key: &K, entry: &Rc<Entry>) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|other| !Rc::ptr_eq(other, entry));
        if list.is_empty() {
            map.remove(key);
        }
    }
}

/// An interface's name and its number, and the network for what is equal.
fn order(entry: &Entry) -> (&str, u64, &str) {
    let name = entry.attachment.ifname.as_str();
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, number) = name.split_at(name.len() - digits);
    (name, number.parse().unwrap_or(0), entry.attachment.network.as_str())
}
