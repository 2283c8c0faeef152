//! Who is called what, and who may know.
//!
//! Finding a name costs the same with ten containers and with thousands: it is looked up in a map of each network of the asker.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::rc::Rc;

use cni::{Attachment, ContainerId, NetworkName};
use names::{Known, Name, Peer, Record, Told};
use netlink::NetnsId;

/// All records, by everything that they are looked for by.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: HashMap<Attachment, Rc<Entry>>,
    networks: HashMap<NetworkName, Network>,
    /// Those of a namespace in the order of its interfaces.
    askers: HashMap<NetnsId, Vec<Rc<Entry>>>,
    containers: HashMap<ContainerId, Vec<Rc<Entry>>>,
    /// Those on other hosts.
    elsewhere: HashMap<Peer, Vec<Rc<Named>>>,
}

/// A container of this host on a network: a record and whose it is.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) attachment: Attachment,
    pub(crate) record: Record,
    named: Rc<Named>,
}

/// A container on a network as others there know it, whichever host it is on.
#[derive(Debug)]
pub(crate) struct Named {
    attachment: Attachment,
    is_here: bool,
    pub(crate) known: Known,
    short_id: Option<Name>,
}

/// Who is on a network.
#[derive(Debug, Default)]
struct Network {
    names: HashMap<Name, Vec<Rc<Named>>>,
    addresses: HashMap<IpAddr, Vec<Rc<Named>>>,
    domains: HashMap<Name, usize>,
    /// How many of them are pods.
    pods: usize,
    containers: usize,
}

impl Entry {
    pub(crate) fn new(attachment: Attachment, record: Record) -> Self {
        let named = Rc::new(Named::new(attachment.clone(), Known::from(&record), true));
        Self { attachment, record, named }
    }
}

impl Named {
    fn new(attachment: Attachment, known: Known, is_here: bool) -> Self {
        let short_id = attachment.container.as_str().get(..SHORT_ID).and_then(|id| Name::new(id).ok());
        Self { attachment, is_here, known, short_id }
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        let all: HashSet<_> = self.known.name.iter().chain(&self.known.aliases).chain(&self.short_id).collect();
        all.into_iter()
    }

    /// What reverse questions are answered with: the name, as others find it whatever their search domain is.
    pub(crate) fn full_name(&self) -> Option<Name> {
        let name = self.known.name.as_ref().or(self.known.aliases.first()).or(self.short_id.as_ref())?;
        let network = Name::new(self.attachment.network.as_str()).ok();
        let domain = self.known.domain.as_ref().or(network.as_ref());
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
        self.networks.entry(entry.attachment.network.clone()).or_default().insert(&entry.named);
        let siblings = self.askers.entry(entry.record.namespace.id()).or_default();
        siblings.push(Rc::clone(&entry));
        siblings.sort_by(|one, other| order(one).cmp(&order(other)));
        self.containers.entry(entry.attachment.container.clone()).or_default().push(Rc::clone(&entry));
        self.entries.insert(entry.attachment.clone(), entry);
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, attachment: &Attachment) -> Option<Rc<Entry>> {
        let entry = self.entries.remove(attachment)?;
        self.take_off(&attachment.network, &entry.named);
        take_out(&mut self.askers, &entry.record.namespace.id(), &entry);
        take_out(&mut self.containers, &attachment.container, &entry);
        Some(entry)
    }

    /// Takes in what another host has told of a network, instead of what it told earlier.
    pub(crate) fn replace_elsewhere(&mut self, peer: Peer, told: Told) {
        for named in self.elsewhere.remove(&peer).into_iter().flatten() {
            self.take_off(peer.network(), &named);
        }
        if told.is_empty() {
            return;
        }
        let network = self.networks.entry(peer.network().clone()).or_default();
        let named = told.into_iter().map(|((container, ifname), known)| {
            let attachment = Attachment { network: peer.network().clone(), container, ifname };
            Rc::new(Named::new(attachment, known, false))
        });
        let named: Vec<_> = named.inspect(|named| network.insert(named)).collect();
        self.elsewhere.insert(peer, named);
    }

    /// The other hosts that have told anything.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.elsewhere.keys().cloned().collect()
    }

    fn take_off(&mut self, network: &NetworkName, named: &Rc<Named>) {
        if let Some(known) = self.networks.get_mut(network) {
            known.remove(named);
            if known.containers == 0 {
                self.networks.remove(network);
            }
        }
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
        let at = self.networks.values().filter_map(|network| network.addresses.get(&address)).flatten();
        let mut here = at.filter(|named| named.is_here).filter_map(|named| self.entries.get(&named.attachment));
        here.find(|entry| entry.record.gateways.contains(&gateway))
    }

    /// Those on the network of `own` that are found by a name, each once.
    pub(crate) fn named(&self, own: &Entry, name: &str) -> Vec<Rc<Named>> {
        let Some(network) = self.networks.get(&own.attachment.network) else { return Vec::new() };
        let mut found = network.bare(name, own);
        if let Some(name) = below(name, own.attachment.network.as_str()) {
            found.extend(network.bare(name, own));
        }
        for domain in network.domains.keys() {
            let Some(name) = below(name, domain.as_str()) else { continue };
            let found_below = network.bare(name, own).into_iter();
            found.extend(found_below.filter(|named| named.known.domain.as_ref() == Some(domain)));
        }
        let mut known = HashSet::new();
        found.retain(|named| known.insert(Rc::as_ptr(named)));
        found.into_iter().map(Rc::clone).collect()
    }

    /// Those that are called `name.network`, whichever network that is.
    pub(crate) fn named_with_network(&self, name: &str) -> Vec<Rc<Named>> {
        let on = |(network, records): (&NetworkName, &'_ Network)| -> Vec<Rc<Named>> {
            let found = below(name, network.as_str()).and_then(|name| records.names.get(name));
            found.map(|found| found.iter().map(Rc::clone).collect()).unwrap_or_default()
        };
        self.networks.iter().flat_map(on).collect()
    }

    /// Those that have an address, on any network.
    pub(crate) fn at_anywhere(&self, address: IpAddr) -> Vec<Rc<Named>> {
        let found = self.networks.values().filter_map(|network| network.addresses.get(&address));
        found.flatten().map(Rc::clone).collect()
    }

    /// Those on the network of `own` that are meant by a link.
    pub(crate) fn linked(&self, own: &Entry, container: &str) -> Vec<Rc<Named>> {
        let by_id = ContainerId::new(container).ok().and_then(|id| self.containers.get(&id));
        let on_network = by_id.into_iter().flatten().filter(|entry| entry.attachment.network == own.attachment.network);
        let found: Vec<_> = on_network.map(|entry| Rc::clone(&entry.named)).collect();
        if found.is_empty() { self.named(own, &container.to_ascii_lowercase()) } else { found }
    }

    /// Those on the network of `own` that have an address.
    pub(crate) fn at(&self, own: &Entry, address: IpAddr) -> &[Rc<Named>] {
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
    fn insert(&mut self, named: &Rc<Named>) {
        for name in named.names() {
            self.names.entry(name.clone()).or_default().push(Rc::clone(named));
        }
        for address in named.known.addresses.iter().collect::<HashSet<_>>() {
            self.addresses.entry(*address).or_default().push(Rc::clone(named));
        }
        if let Some(domain) = &named.known.domain {
            *self.domains.entry(domain.clone()).or_default() += 1;
        }
        self.pods += usize::from(named.known.pod_namespace.is_some());
        self.containers += 1;
    }

    fn remove(&mut self, named: &Rc<Named>) {
        for name in named.names() {
            take_out(&mut self.names, name, named);
        }
        for address in named.known.addresses.iter().collect::<HashSet<_>>() {
            take_out(&mut self.addresses, address, named);
        }
        if let Some(domain) = &named.known.domain
            && let Some(records) = self.domains.get_mut(domain)
        {
            *records -= 1;
            if *records == 0 {
                self.domains.remove(domain);
            }
        }
        self.pods -= usize::from(named.known.pod_namespace.is_some());
        self.containers -= 1;
    }

    /// Those with that name, or, if it ends with a pod's namespace, with what is before that. A pod's own namespace comes first.
    fn bare(&self, name: &str, asker: &Entry) -> Vec<&Rc<Named>> {
        let with = |name: &str| self.names.get(name).into_iter().flatten();
        let mut found: Vec<_> = with(name).collect();
        if self.pods == 0 {
            return found;
        }
        let namespace = asker.record.pod_namespace.as_ref();
        if namespace.is_some() && found.iter().any(|named| named.known.pod_namespace.as_ref() == namespace) {
            found.retain(|named| named.known.pod_namespace.as_ref() == namespace);
        }
        if let Some((name, namespace)) = name.rsplit_once('.') {
            let is_in =
                |named: &&Rc<Named>| named.known.pod_namespace.as_ref().is_some_and(|its| its.as_str() == namespace);
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

/// Takes one out of a list in a map, and an empty list out of the map.
fn take_out<K: Eq + Hash, V>(map: &mut HashMap<K, Vec<Rc<V>>>, key: &K, one: &Rc<V>) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|other| !Rc::ptr_eq(other, one));
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
