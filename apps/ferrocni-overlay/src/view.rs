//! What stands in etcd, as far as it makes sense.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::ingress::Shares;
use cni::{Attachment, NetworkName};
use names::Told;
use overlay::ingress::{Number, Port};
use overlay::key::value;
use overlay::{Block, Claim, Cluster, Endpoint, Host, HostId, Key, Network, Nonsense, Subnet};

/// A key that was set or deleted (`value` is `None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    /// The revision that changed it.
    pub(crate) revision: i64,
}

/// Something in etcd, with the revision that a transaction compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known<T> {
    pub(crate) value: T,
    pub(crate) revision: i64,
}

/// Whom a change concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    Nobody,
    /// Every network.
    Everybody,
    /// Every network that this host is in: it has come, gone, or moved.
    Host(HostId),
    /// Who lives.
    Alive,
    /// All of a network.
    Network(NetworkName),
    /// What these hosts have of a network.
    Holders(NetworkName, BTreeSet<HostId>),
    /// What that host has behind a port that every host answers.
    Ingress(Port, NetworkName, HostId),
    /// Which hosts answer such ports.
    Numbers,
    /// A container of that host on a network.
    Endpoint(NetworkName, HostId),
}

/// All of it, of the networks that this host has joined.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) cluster: Option<Cluster>,
    pub(crate) hosts: BTreeMap<HostId, Host>,
    /// The addresses of all but one, until a host changes.
    underlay: OnceCell<Arc<BTreeSet<IpAddr>>>,
    pub(crate) alive: BTreeSet<HostId>,
    pub(crate) networks: BTreeMap<NetworkName, NetworkView>,
    /// What hosts have behind ports that every host answers.
    pub(crate) ingress: Shares,
    /// The hosts that answer them.
    pub(crate) numbers: BTreeMap<Number, HostId>,
    /// What makes no sense, by key.
    pub(crate) nonsense: BTreeMap<Vec<u8>, String>,
    /// What this agent has written itself, until the watch brings it: what the watch brings first is older.
    written: BTreeMap<Vec<u8>, Change>,
}

/// One network.
#[derive(Debug, Default)]
pub(crate) struct NetworkView {
    pub(crate) network: Option<Known<Network>>,
    blocks: BTreeMap<Block, Known<HostId>>,
    /// Those that were there before everything was listed anew, and are not: their owners may not have had the time to restore them.
    remembered: BTreeMap<Block, HostId>,
    addresses: BTreeMap<IpAddr, (Block, Known<Claim>)>,
    endpoints: BTreeMap<HostId, BTreeMap<Attachment, Endpoint>>,
    /// The same by their hosts: what one host has is found without a look at all others.
    held: BTreeMap<HostId, Held>,
    /// What cannot be, in words, until a block or an address changes.
    misplaced: OnceCell<Vec<String>>,
}

/// What one host has of a network.
#[derive(Debug, Default)]
struct Held {
    blocks: BTreeSet<Block>,
    remembered: BTreeSet<Block>,
    addresses: BTreeSet<IpAddr>,
}

impl View {
    /// Takes over what is new.
    pub(crate) fn apply(&mut self, change: &Change) -> Touched {
        match self.written.get(&change.key) {
            Some(written) if change.revision < written.revision => return Touched::Nobody,
            Some(_) => drop(self.written.remove(&change.key)),
            None => {}
        }
        self.take_over(change)
    }

    /// Takes over what this agent has just written.
    pub(crate) fn note(&mut self, change: Change) -> Touched {
        let touched = self.take_over(&change);
        self.written.insert(change.key.clone(), change);
        touched
    }

    /// Takes over all that there was at a revision, in the place of what was known.
    pub(crate) fn replace(&mut self, all: &[Change], revision: i64) {
        let before = std::mem::take(self);
        self.add_listed(all, revision, before.written);
        for (name, network) in before.networks {
            self.networks.entry(name).or_default().remember(network);
        }
    }

    /// The list that comes next is of an etcd that may have been restored from a backup: what was written before may be lost, and numbers of
    /// revisions mean something else.
    pub(crate) fn distrust_written(&mut self) {
        self.written.clear();
    }

    /// Everybody had the time to restore what is there.
    pub(crate) fn forget_remembered(&mut self) {
        self.networks.values_mut().for_each(NetworkView::forget_remembered);
    }

    /// The same for one network.
    pub(crate) fn replace_network(&mut self, network: &NetworkName, all: &[Change], revision: i64) {
        let written = std::mem::take(&mut self.written);
        self.forget(network);
        self.add_listed(all, revision, written);
    }

    fn add_listed(&mut self, all: &[Change], revision: i64, written: BTreeMap<Vec<u8>, Change>) {
        for change in all {
            self.take_over(change);
        }
        for change in written.into_values().filter(|change| change.revision > revision) {
            self.note(change);
        }
    }

    /// The addresses of the hosts, but for this one, which is always the same.
    pub(crate) fn underlay_but_of(&self, own: &HostId) -> Arc<BTreeSet<IpAddr>> {
        let others = || self.hosts.iter().filter(|(host, _)| *host != own);
        self.underlay
            .get_or_init(|| Arc::new(others().flat_map(|(_, host)| host.underlay.iter().copied()).collect()))
            .clone()
    }

    fn take_over(&mut self, change: &Change) -> Touched {
        self.nonsense.remove(&change.key);
        match self.try_apply(change) {
            Ok(touched) => touched,
            // It has made no sense before either.
            Err(_) if change.value.is_none() => Touched::Nobody,
            Err(nonsense) => {
                self.nonsense.insert(change.key.clone(), nonsense.to_string());
                // What stood there before counts no longer either.
                let gone = Change { value: None, ..change.clone() };
                self.try_apply(&gone).unwrap_or(Touched::Nobody)
            }
        }
    }

    fn try_apply(&mut self, change: &Change) -> Result<Touched, Nonsense> {
        let key = Key::parse(&change.key)?;
        let network = key.network().cloned();
        let mut of_network = network.clone().map(|network| self.networks.entry(network).or_default());
        match (key, &mut of_network) {
            (Key::Cluster, _) => self.cluster = change.read()?,
            (Key::Host(id), _) => {
                set(&mut self.hosts, id.clone(), change.read()?);
                self.underlay.take();
                return Ok(Touched::Host(id));
            }
            (Key::Alive(id), _) => {
                if change.value.is_some() {
                    self.alive.insert(id)
                } else {
                    self.alive.remove(&id)
                };
                return Ok(Touched::Alive);
            }
            (Key::Ingress(port, network, host), _) => {
                let key = (port, network.clone(), host.clone());
                set(&mut self.ingress, key, change.read()?);
                return Ok(Touched::Ingress(port, network, host));
            }
            (Key::Number(number), _) => {
                set(&mut self.numbers, number, change.read()?);
                return Ok(Touched::Numbers);
            }
            (Key::Network(_), Some(of)) => of.set_network(change.known()?),
            (Key::Block(network, block), Some(of)) => {
                return Ok(Touched::Holders(network, of.set_block(block, change.known()?)));
            }
            (Key::Address(network, block, address), Some(of)) => {
                let claim = change.known()?.map(|claim| (block, claim));
                return Ok(Touched::Holders(network, of.set_address(address, claim)));
            }
            (Key::Endpoint(host, attachment), Some(of)) => {
                let touched = Touched::Endpoint(attachment.network.clone(), host.clone());
                of.set_endpoint(&host, attachment, change.read()?);
                return Ok(touched);
            }
            _ => return Ok(Touched::Nobody),
        }
        Ok(network.map_or(Touched::Everybody, Touched::Network))
    }

    /// Forgets all that was known of a network, and of what made no sense in it.
    pub(crate) fn forget(&mut self, network: &NetworkName) {
        self.networks.remove(network);
        let prefix = Key::of_network(network);
        self.nonsense.retain(|key, _| !key.starts_with(prefix.as_bytes()));
        self.written.retain(|key, _| !key.starts_with(prefix.as_bytes()));
    }

    /// What others are told of one host's containers.
    pub(crate) fn endpoints_of(&self, network: &NetworkName, host: &HostId) -> BTreeMap<Attachment, Endpoint> {
        self.networks.get(network).and_then(|view| view.endpoints.get(host)).cloned().unwrap_or_default()
    }

    /// The networks in which a host has something.
    pub(crate) fn networks_of(&self, host: &HostId) -> impl Iterator<Item = &NetworkName> {
        self.networks.iter().filter(move |(_, view)| view.held.contains_key(host)).map(|(name, _)| name)
    }

    /// A network that is there.
    pub(crate) fn network(&self, name: &NetworkName) -> Option<(&NetworkView, &Known<Network>)> {
        let view = self.networks.get(name)?;
        Some((view, view.network.as_ref()?))
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

impl Change {
    fn read<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, Nonsense> {
        self.value.as_ref().map(|text| value(&self.key, text)).transpose()
    }

    fn known<T: serde::de::DeserializeOwned>(&self) -> Result<Option<Known<T>>, Nonsense> {
        Ok(self.read()?.map(|value| Known { value, revision: self.revision }))
    }
}

impl NetworkView {
    fn set_network(&mut self, network: Option<Known<Network>>) {
        self.misplaced.take();
        self.network = network;
    }

    /// Whose block it was, and whose it is.
    fn set_block(&mut self, block: Block, owner: Option<Known<HostId>>) -> BTreeSet<HostId> {
        self.misplaced.take();
        let remembered = self.forget_one(block);
        let before = self.blocks.get(&block).map(|owner| owner.value.clone());
        let now = owner.as_ref().map(|owner| owner.value.clone());
        set(&mut self.blocks, block, owner);
        self.hand_over(block, before.as_ref(), now.as_ref(), |held| &mut held.blocks);
        before.into_iter().chain(now).chain(remembered).collect()
    }

    /// The same of an address.
    fn set_address(&mut self, address: IpAddr, claim: Option<(Block, Known<Claim>)>) -> BTreeSet<HostId> {
        self.misplaced.take();
        let before = self.addresses.get(&address).map(|(_, claim)| claim.value.host.clone());
        let now = claim.as_ref().map(|(_, claim)| claim.value.host.clone());
        set(&mut self.addresses, address, claim);
        self.hand_over(address, before.as_ref(), now.as_ref(), |held| &mut held.addresses);
        before.into_iter().chain(now).collect()
    }

    /// Notes whose something was, and whose it is.
    fn hand_over<T: Ord + Copy>(
        &mut self,
        thing: T,
        before: Option<&HostId>,
        now: Option<&HostId>,
        of: impl Fn(&mut Held) -> &mut BTreeSet<T>,
    ) {
        if let Some(host) = before {
            self.change_held(host, |held| of(held).remove(&thing));
        }
        if let Some(host) = now {
            self.change_held(host, |held| of(held).insert(thing));
        }
    }

    fn change_held(&mut self, host: &HostId, change: impl FnOnce(&mut Held) -> bool) {
        let held = self.held.entry(host.clone()).or_default();
        change(held);
        if held.blocks.is_empty() && held.remembered.is_empty() && held.addresses.is_empty() {
            self.held.remove(host);
        }
    }

    fn set_endpoint(&mut self, host: &HostId, attachment: Attachment, endpoint: Option<Endpoint>) {
        let of_host = self.endpoints.entry(host.clone()).or_default();
        set(of_host, attachment, endpoint);
        if of_host.is_empty() {
            self.endpoints.remove(host);
        }
    }

    fn subnet_with(&self, block: Block) -> Option<&Subnet> {
        self.network.as_ref()?.value.subnets.iter().find(|subnet| subnet.has(block))
    }

    /// The blocks of the network's subnets with their owners. Others are nonsense.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (Block, &Known<HostId>)> {
        let is_one = |(block, _): &(&Block, _)| self.subnet_with(**block).is_some();
        self.blocks.iter().filter(is_one).map(|(block, owner)| (*block, owner))
    }

    fn remember(&mut self, before: Self) {
        let known = before.blocks.into_iter().map(|(block, owner)| (block, owner.value));
        for (block, host) in before.remembered.into_iter().chain(known) {
            if !self.blocks.contains_key(&block) {
                self.change_held(&host, |held| held.remembered.insert(block));
                self.remembered.insert(block, host);
            }
        }
    }

    fn forget_one(&mut self, block: Block) -> Option<HostId> {
        let host = self.remembered.remove(&block)?;
        self.change_held(&host, |held| held.remembered.remove(&block));
        Some(host)
    }

    fn forget_remembered(&mut self) {
        for (block, host) in std::mem::take(&mut self.remembered) {
            self.change_held(&host, |held| held.remembered.remove(&block));
        }
    }

    /// One host's blocks to which there are to be ways: also those of which nothing is heard yet after a time without etcd.
    pub(crate) fn reached_of(&self, host: &HostId, view: &View) -> impl Iterator<Item = Block> {
        let remembered = self.held.get(host).filter(|_| view.hosts.contains_key(host));
        let remembered = remembered.into_iter().flat_map(|held| &held.remembered).copied();
        self.blocks_of(host).chain(remembered.filter(|block| self.subnet_with(*block).is_some()))
    }

    /// Those of all hosts.
    pub(crate) fn reached<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (Block, &'a HostId)> {
        self.held.keys().flat_map(|host| self.reached_of(host, view).map(move |block| (block, host)))
    }

    /// Whether an address is a host's: in a block of its own, or claimed.
    pub(crate) fn has(&self, host: &HostId, address: IpAddr) -> bool {
        match self.claim_of(address) {
            Some(claim) if claim.value.granted => claim.value.host == *host,
            _ => {
                let subnets = self.network.iter().flat_map(|network| &network.value.subnets);
                let block = subnets.filter_map(|subnet| subnet.block_of(address)).next();
                block.and_then(|block| self.owner_of(block)).is_some_and(|owner| owner.value == *host)
            }
        }
    }

    /// What a host tells of its containers: those of their addresses that are the host's.
    pub(crate) fn told_by(&self, host: &HostId) -> Told {
        let all = self.endpoints.get(host).into_iter().flatten();
        let known = |endpoint: &Endpoint| {
            let mut known = endpoint.0.clone();
            known.addresses.retain(|address| self.has(host, *address));
            known
        };
        let all = all.map(|(its, endpoint)| ((its.container.clone(), its.ifname.clone()), known(endpoint)));
        all.filter(|(_, known)| !known.addresses.is_empty()).collect()
    }

    /// The hosts that tell of containers.
    pub(crate) fn tellers(&self) -> BTreeSet<HostId> {
        self.endpoints.keys().cloned().collect()
    }

    /// Whether a host tells of any.
    pub(crate) fn is_told_by(&self, host: &HostId) -> bool {
        self.endpoints.contains_key(host)
    }

    /// All containers with the hosts that tell of them.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&HostId, &Attachment, &Endpoint)> {
        self.endpoints.iter().flat_map(|(host, all)| all.iter().map(move |(its, endpoint)| (host, its, endpoint)))
    }

    /// The hosts that have a block or an address.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &HostId> {
        self.held.keys()
    }

    /// Whether a host has any.
    pub(crate) fn is_held_by(&self, host: &HostId) -> bool {
        self.held.contains_key(host)
    }

    /// Who owns a block.
    pub(crate) fn owner_of(&self, block: Block) -> Option<&Known<HostId>> {
        self.blocks.get(&block)
    }

    /// The blocks of one host.
    pub(crate) fn blocks_of(&self, host: &HostId) -> impl Iterator<Item = Block> {
        let blocks = self.held.get(host).into_iter().flat_map(|held| &held.blocks).copied();
        blocks.filter(|block| self.subnet_with(*block).is_some())
    }

    /// The addresses that one host has outside its blocks.
    pub(crate) fn addresses_of(&self, host: &HostId) -> impl Iterator<Item = (IpAddr, Block, &Known<Claim>)> {
        let addresses = self.held.get(host).into_iter().flat_map(|held| &held.addresses);
        let all = addresses.filter_map(|address| Some((*address, self.addresses.get(address)?)));
        self.that_can_be(all.map(|(address, (block, claim))| (address, *block, claim)))
    }

    /// Who has claimed an address that a container can have.
    pub(crate) fn claim_of(&self, address: IpAddr) -> Option<&Known<Claim>> {
        let (block, claim) = self.addresses.get(&address)?;
        self.subnet_with(*block)?.offers(address).then_some(claim)
    }

    /// The addresses that hosts have outside their blocks: those that a container can have, in a block of the network.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, Block, &Known<Claim>)> {
        let all = self.addresses.iter().map(|(address, (block, claim))| (*address, *block, claim));
        self.that_can_be(all)
    }

    fn that_can_be<'a>(
        &self,
        all: impl Iterator<Item = (IpAddr, Block, &'a Known<Claim>)>,
    ) -> impl Iterator<Item = (IpAddr, Block, &'a Known<Claim>)> {
        all.filter(|(address, block, _)| self.subnet_with(*block).is_some_and(|subnet| subnet.offers(*address)))
    }

    /// What cannot be, in words.
    pub(crate) fn misplaced(&self) -> &[String] {
        self.misplaced.get_or_init(|| self.find_misplaced())
    }

    fn find_misplaced(&self) -> Vec<String> {
        if self.network.is_none() {
            return Vec::new();
        }
        let blocks = self.blocks.keys().filter(|block| self.subnet_with(**block).is_none());
        let in_words = |what: String| format!("{what} is not in a subnet of its network, and ignored");
        let addresses = self
            .addresses
            .iter()
            .filter(|(address, (block, _))| self.subnet_with(*block).is_none_or(|subnet| !subnet.offers(**address)));
        let blocks = blocks.map(|block| in_words(format!("block {block}")));
        blocks.chain(addresses.map(|(address, _)| in_words(format!("address {address}")))).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
    const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";

    fn change(key: &str, value: Option<&Value>) -> Change {
        let key = format!("{}{key}", overlay::key::PREFIX).into_bytes();
        Change { key, value: value.map(|value| value.to_string().into_bytes()), revision: 7 }
    }

    fn config() -> Value {
        json!({"vni": 4097, "subnets": [{"subnet": "10.1.0.0/24", "blockLength": 29}]})
    }

    #[test]
    fn what_makes_sense_is_known_until_it_goes() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        let a = HostId::parse(A).unwrap();
        assert_eq!(view.apply(&change("nets/n/config", Some(&config()))), Touched::Network(name.clone()));
        view.apply(&change("nets/n/blocks/10.1.0.8-29", Some(&json!(A))));
        let (network, _) = view.network(&name).unwrap();
        assert_eq!(network.blocks_of(&a).map(|block| block.to_string()).collect::<Vec<_>>(), ["10.1.0.8/29"]);
        assert_eq!(view.apply(&change(&format!("alive/{A}"), Some(&json!("")))), Touched::Alive);
        assert!(view.alive.contains(&a));
        view.apply(&change("nets/n/blocks/10.1.0.8-29", None));
        assert_eq!(view.networks[&name].blocks().count(), 0);
    }

    #[test]
    fn what_a_host_has_is_found_by_the_host_and_a_change_says_whom_it_concerns() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        let [a, b] = [A, B].map(|id| HostId::parse(id).unwrap());
        let holders = |hosts: &[&HostId]| Touched::Holders(name.clone(), hosts.iter().copied().cloned().collect());
        view.apply(&change("nets/n/config", Some(&config())));
        let block = "nets/n/blocks/10.1.0.8-29";
        assert_eq!(view.apply(&change(block, Some(&json!(A)))), holders(&[&a]));
        assert_eq!(view.apply(&change(block, Some(&json!(B)))), holders(&[&a, &b]), "it has moved");
        assert_eq!((view.networks_of(&a).count(), view.networks_of(&b).count()), (0, 1));
        let claim = |host: &str| json!({"host": host, "container": "c", "interface": "eth0", "granted": true});
        let address = "nets/n/addrs/10.1.0.8-29/10.1.0.12";
        assert_eq!(view.apply(&change(address, Some(&claim(A)))), holders(&[&a]));
        let of_network = &view.networks[&name];
        assert_eq!((of_network.addresses_of(&a).count(), of_network.addresses_of(&b).count()), (1, 0));
        assert_eq!(of_network.holders().collect::<Vec<_>>(), [&a, &b]);
        assert!(of_network.has(&a, "10.1.0.12".parse().unwrap()));
        assert!(of_network.has(&b, "10.1.0.13".parse().unwrap()));
        assert_eq!(view.apply(&change(address, None)), holders(&[&a]));
        assert_eq!(view.apply(&change(block, None)), holders(&[&b]));
        assert_eq!(view.networks[&name].holders().count(), 0);
    }

    #[test]
    fn nonsense_is_noted_ignored_and_harms_nothing_else() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        view.apply(&change("nets/n/config", Some(&config())));
        view.apply(&change("nets/n/blocks/10.1.0.8-29", Some(&json!(A))));
        for (key, value) in [
            ("nets/n/blocks/10.9.0.8-29".to_owned(), json!(A)),
            ("nets/n/blocks/10.1.0.0-24".to_owned(), json!(A)),
            ("nets/n/addrs/10.9.0.8-29/10.9.0.9".to_owned(), json!({"host": A, "container": "c", "interface": "eth0"})),
            ("nets/n/addrs/10.1.0.0-29/10.1.0.1".to_owned(), json!({"host": A, "container": "c", "interface": "eth0"})),
        ] {
            view.apply(&change(&key, Some(&value)));
        }
        assert_eq!(view.networks[&name].blocks().count(), 1);
        assert_eq!(view.networks[&name].addresses().count(), 0);
        assert_eq!(view.networks[&name].misplaced().len(), 4);
        for (key, value) in [
            ("nets/n/blocks/banana".to_owned(), json!(A)),
            ("nets/n/blocks/10.1.0.16-29".to_owned(), json!("nobody")),
            (format!("hosts/{A}"), json!({"name": "x".repeat(10_000), "underlay": [], "mtu": 1})),
            (format!("nets/n/names/{A}/c:eth0"), json!({"addresses": [], "name": "n".repeat(10_000)})),
        ] {
            view.apply(&change(&key, Some(&value)));
        }
        assert_eq!(view.nonsense.len(), 4);
        assert!(view.hosts.is_empty());
        view.apply(&change("nets/n/blocks/banana", None));
        assert_eq!(view.nonsense.len(), 3, "{:?}", view.nonsense);
    }

    #[test]
    fn what_was_just_written_is_not_undone_by_older_news() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        let at = |revision, change: Change| Change { revision, ..change };
        let block = |value: Option<&str>| change("nets/n/blocks/10.1.0.8-29", value.map(|id| json!(id)).as_ref());
        let config = at(1, change("nets/n/config", Some(&config())));
        view.apply(&config);
        view.note(at(5, block(Some(A))));
        view.apply(&at(4, block(None)));
        let count = |view: &View| view.networks[&name].blocks().count();
        assert_eq!(count(&view), 1);
        view.replace(std::slice::from_ref(&config), 4);
        assert_eq!(count(&view), 1, "the list is older");
        view.replace_network(&name, std::slice::from_ref(&config), 4);
        assert_eq!(count(&view), 1, "this too");
        view.apply(&at(5, block(Some(A))));
        view.apply(&at(6, block(None)));
        assert_eq!(count(&view), 0);
        view.note(at(7, block(Some(A))));
        view.replace(std::slice::from_ref(&config), 8);
        assert_eq!(count(&view), 0, "deleted meanwhile");
        view.note(at(9, block(Some(A))));
        view.distrust_written();
        view.replace(&[config], 3);
        assert_eq!(count(&view), 0, "etcd was restored from a backup");
    }

    #[test]
    fn ways_to_what_is_not_there_yet_are_kept_until_everybody_had_the_time_to_restore_it() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        let config = change("nets/n/config", Some(&config()));
        let host = change(&format!("hosts/{A}"), Some(&json!({"name": "a", "underlay": ["192.0.2.1"], "mtu": 1500})));
        let block = change("nets/n/blocks/10.1.0.8-29", Some(&json!(A)));
        let reached = |view: &View| view.networks[&name].reached(view).count();
        let restored = |all: &[&Change]| {
            let mut view = View::default();
            [&config, &host, &block].into_iter().for_each(|change| drop(view.apply(change)));
            view.replace(&all.iter().map(|change| (*change).clone()).collect::<Vec<_>>(), 3);
            view
        };
        view.apply(&config);
        assert_eq!(reached(&view), 0);
        let mut view = restored(&[&config, &host]);
        assert_eq!((reached(&view), view.networks[&name].blocks().count()), (1, 0));
        view.replace(&[config.clone(), host.clone()], 4);
        assert_eq!(reached(&view), 1, "listed once more");
        view.apply(&block);
        assert_eq!(reached(&view), 1, "there again");
        view.apply(&Change { value: None, ..block.clone() });
        assert_eq!(reached(&view), 0, "returned");
        let mut view = restored(&[&config, &host]);
        view.forget_remembered();
        assert_eq!(reached(&view), 0, "in time");
        assert_eq!(reached(&restored(&[&config])), 0, "its host is gone");
    }

    #[test]
    fn the_addresses_of_hosts_are_shared_until_one_changes() {
        let mut view = View::default();
        let host = |id: &str, address: &str| {
            change(&format!("hosts/{id}"), Some(&json!({"name": "h", "underlay": [address], "mtu": 1500})))
        };
        let of = |addresses: &[&str]| addresses.iter().map(|it| it.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
        let own = HostId::parse(A).unwrap();
        view.apply(&host(A, "192.0.2.1"));
        view.apply(&host(B, "192.0.2.2"));
        let known = view.underlay_but_of(&own);
        assert_eq!(*known, of(&["192.0.2.2"]));
        view.apply(&change("nets/n/config", Some(&config())));
        assert!(Arc::ptr_eq(&known, &view.underlay_but_of(&own)));
        view.apply(&host(B, "192.0.2.3"));
        assert_eq!(*view.underlay_but_of(&own), of(&["192.0.2.3"]));
        view.apply(&change(&format!("hosts/{B}"), None));
        assert_eq!(*view.underlay_but_of(&own), of(&[]));
    }

    #[test]
    fn a_value_that_becomes_nonsense_takes_the_earlier_one_with_it() {
        let (mut view, name) = (View::default(), NetworkName::new("n").unwrap());
        view.apply(&change("nets/n/config", Some(&config())));
        assert_eq!(view.apply(&change("nets/n/config", Some(&json!([])))), Touched::Network(name.clone()));
        assert!(view.network(&name).is_none());
    }
}
