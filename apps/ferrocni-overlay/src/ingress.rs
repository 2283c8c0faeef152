//! Ports that every host answers.
//!
//! A host says in etcd how many of its containers are behind a port, under the name of their network, and as long as it lives. Every host
//! reads that, and sends a share of what it is asked to each of them. Two networks cannot have the same port: it is published in a
//! transaction that holds only as long as no other network has it.
//!
//! What a host had is believed after a time without etcd until it gives a sign of life, or had the time to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cni::NetworkName;
use conntrack::{Filter, Version};
use ip::Protocol;
use nftables::overlay::{Ingress as Filtered, Slots, mark};
use overlay::ingress::{Number, Port, Share, device, hash, mac_of};
use overlay::{HostId, IngressState, Key, KnownPort};
use tokio::time::Instant;

use crate::Error;
use crate::agent::Agent;
use crate::etcd::Etcd;
use crate::joined::Reservations;
use crate::kernel::ingress::{Own, rules, wanted};
use crate::kernel::vxlan::Here;
use crate::ledger::{read_by, revision};
use crate::ports::Held;
use crate::publication;
use crate::spread::{Target, fill};
use crate::transactions;

/// Containers of this host behind a port.
pub(crate) type Behind = BTreeMap<Port, Vec<SocketAddr>>;

/// What hosts have behind ports, by network.
pub(crate) type Shares = BTreeMap<(Port, NetworkName, HostId), Share>;

/// Targets, and the slots that they fill.
type Filled = (Vec<Target>, Vec<SocketAddr>);

/// What the agent knows of them besides what stands in etcd.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    /// What hosts had before etcd was away, and have not said again yet.
    held: Shares,
    held_numbers: BTreeMap<Number, HostId>,
    /// What this host has told, under its lease.
    published: BTreeMap<(Port, NetworkName), Share>,
    /// What it cannot tell, with the reason.
    refused: BTreeMap<(Port, NetworkName), String>,
    /// The ports that no other program of this host gets.
    reserved: Held,
    slots: BTreeMap<(Protocol, u16, bool), Filled>,
    programmed: Filtered,
    told: Option<IngressState>,
    /// Hosts are reached inside of what is encrypted.
    in_tunnel: bool,
    /// When to try again what etcd has not answered in time.
    pub(crate) again: Option<Instant>,
}

/// How long to wait before that.
const AGAIN: Duration = Duration::from_secs(1);

impl Ingress {
    /// With what the agent before this one knew.
    pub(crate) fn start(known: Option<IngressState>) -> Self {
        let mut this = Self::default();
        for known in known.into_iter().flat_map(|known| {
            this.held_numbers = known.numbers;
            known.ports
        }) {
            let of = |(host, share)| ((known.port, known.network.clone(), host), share);
            this.held.extend(known.hosts.into_iter().map(of));
        }
        this
    }

    /// Everything was listed: what was known before and is not there any more may come again.
    pub(crate) fn hold(&mut self, shares: Shares, numbers: BTreeMap<Number, HostId>) {
        self.held.extend(shares);
        self.held_numbers.extend(numbers);
    }

    /// A host has said something of a port.
    pub(crate) fn heard(&mut self, port: Port, network: &NetworkName, host: &HostId) {
        self.held.remove(&(port, network.clone(), host.clone()));
    }

    /// What was told under an earlier lease is to be told again.
    pub(crate) fn forget_published(&mut self) {
        self.published.clear();
    }

    /// Everybody had the time to speak.
    pub(crate) fn let_go(&mut self) {
        self.held.clear();
        self.held_numbers.clear();
    }

    /// How many ports this host answers.
    pub(crate) fn answers(&self) -> usize {
        self.programmed.services.keys().map(|(protocol, port, _)| (protocol, port)).collect::<BTreeSet<_>>().len()
    }
}

impl Agent {
    /// The containers of this host behind the ports of a network, as far as the addresses that they say are theirs.
    pub(crate) fn behind(&self, name: &NetworkName, reserved: &Reservations) -> Result<Behind, Error> {
        let mut behind = Behind::new();
        for (attachment, published) in self.places.publications().on(name)? {
            let is_its = |address: &&IpAddr| {
                let holder = reserved.get(*address);
                holder.is_some_and(|it| (&it.container, &it.ifname) == (&attachment.container, &attachment.ifname))
            };
            for mapping in &published.ports {
                let to = mapping.addresses.iter().filter(is_its);
                let to = to.map(|address| SocketAddr::new(*address, mapping.container_port));
                behind.entry(mapping.port).or_default().extend(to);
            }
        }
        behind.retain(|_, containers| !containers.is_empty());
        Ok(behind)
    }

    /// Has everything follow that concerns such ports, the packet filter among it.
    pub(crate) async fn settle_ingress(&mut self) -> Result<(), Error> {
        self.ingress.again = None;
        // Who hears of a port has to know how its host is reached.
        let is_needed = !self.shares().is_empty() || !self.own_shares().is_empty();
        let numbered = if is_needed { self.number().await } else { Ok(None) };
        let told = if numbered.is_ok() { self.tell_ports().await } else { Ok(()) };
        let shares = self.shares();
        if self.etcd.is_some()
            && [told.as_ref().err(), numbered.as_ref().err()].into_iter().flatten().any(Error::is_temporary)
        {
            self.ingress.again = Some(Instant::now() + AGAIN);
        }
        let number = numbered.as_ref().ok().copied().flatten().filter(|_| !shares.is_empty());
        let encrypted = self.encrypt_ingress().await;
        let programmed = self.program_ingress(&shares, number);
        self.report_ingress(&shares, number)?;
        if self.ingress.reserved.are_to_be_looked_at() {
            self.ingress.again = Some(Instant::now());
        }
        let refused = self.ingress.refused.values().next().cloned();
        let refused = refused.map_or(Ok(()), |reason| Err(Error::Refused(reason)));
        told.and(numbered.map(drop)).and(programmed).and(encrypted).and(refused)
    }

    /// This host's number, if ports of encrypted networks are answered, for which hosts reach each other inside of what is encrypted.
    pub(crate) fn number_in_tunnel(&self) -> Option<Number> {
        let is_needed = self.shares().values().any(|share| share.encrypted);
        self.numbers().get(&self.id).copied().filter(|_| is_needed)
    }

    /// Sees that hosts reach each other there. Others have to know this one's key.
    async fn encrypt_ingress(&mut self) -> Result<(), Error> {
        let is_needed = self.number_in_tunnel().is_some();
        if !is_needed && !std::mem::take(&mut self.ingress.in_tunnel) {
            return Ok(());
        }
        if !is_needed {
            return self.leave_encrypted();
        }
        let is_new = self.kernel.tunnel.is_none();
        self.encrypt()?;
        if is_new {
            self.beat().await;
        }
        self.ingress.in_tunnel = true;
        self.program_encrypted()
    }

    /// What all hosts have behind ports: others as they have said, this one as it is.
    fn shares(&self) -> Shares {
        let is_silent = |host: &HostId| !self.view.alive.contains(host);
        let held = self.ingress.held.iter().filter(|((_, _, host), _)| is_silent(host));
        // What stands there is newer than what is held.
        let others = held.chain(&self.view.ingress).filter(|((_, _, host), _)| *host != self.id);
        let mut shares: Shares = others.map(|(key, share)| (key.clone(), *share)).collect();
        let own = self.own_shares().into_iter().filter(|(key, _)| self.is_told(key));
        shares.extend(own.map(|((port, network), share)| ((port, network, self.id.clone()), share)));
        shares
    }

    /// Whether others know that this host has something behind a port, or did before etcd was away.
    fn is_told(&self, (port, network): &(Port, NetworkName)) -> bool {
        let key = (*port, network.clone(), self.id.clone());
        self.ingress.published.contains_key(&(*port, network.clone()))
            || self.view.ingress.contains_key(&key)
            || self.ingress.held.contains_key(&key)
    }

    /// What this host has behind ports.
    fn own_shares(&self) -> BTreeMap<(Port, NetworkName), Share> {
        let mut shares = BTreeMap::new();
        for (name, joined) in &self.joined {
            let Some((_, known)) = self.view.network(name) else { continue };
            for (port, containers) in &joined.behind {
                let of = |ipv4: bool| containers.iter().filter(|it| it.is_ipv4() == ipv4).count();
                let [ipv4, ipv6] = [of(true), of(false)].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
                shares.insert((*port, name.clone()), Share { ipv4, ipv6, encrypted: known.value.encrypted });
            }
        }
        shares
    }

    /// Tells other hosts what this one has behind ports. What another network has is told to whoever looks after this host.
    async fn tell_ports(&mut self) -> Result<(), Error> {
        let wanted = self.own_shares();
        self.ingress.refused.retain(|key, _| wanted.contains_key(key));
        let Some(lease) = self.lease.filter(|_| self.etcd.is_some()) else { return Ok(()) };
        // What is left of an earlier life is known from etcd only.
        let of_view = self.view.ingress.iter().filter(|((_, _, host), _)| *host == self.id);
        let of_view: Vec<_> = of_view.map(|((port, network, _), share)| ((*port, network.clone()), *share)).collect();
        for (key, share) in of_view {
            if !wanted.contains_key(&key) {
                self.ingress.published.insert(key, share);
            }
        }
        let gone = self.ingress.published.keys().filter(|key| !wanted.contains_key(*key)).cloned();
        for (port, network) in gone.collect::<Vec<_>>() {
            let key = Key::Ingress(port, network.clone(), self.id.clone());
            let answer = self.transact("take back a port", transactions::take_back_port(&key)).await?;
            self.note(&key, None::<&Share>, revision(&answer));
            self.ingress.published.remove(&(port, network));
        }
        for (key, share) in wanted {
            if self.ingress.published.get(&key) != Some(&share) {
                self.tell_port(key.0, &key.1, share, lease.id).await?;
            }
        }
        Ok(())
    }

    async fn tell_port(&mut self, port: Port, network: &NetworkName, share: Share, lease: i64) -> Result<(), Error> {
        let of_port = self.view.ingress.keys().filter(|(known, ..)| *known == port);
        let mut other = of_port.map(|(_, other, _)| other).find(|other| *other != network).cloned();
        let key = (port, network.clone());
        if other.is_none() {
            let own = Key::Ingress(port, network.clone(), self.id.clone());
            let transaction = transactions::publish_port(&own, port, network, &share, lease);
            let answer = self.transact("publish a port", transaction).await?;
            if answer.succeeded() {
                self.note(&own, Some(&share), revision(&answer));
                self.ingress.refused.remove(&key);
                self.ingress.published.insert(key, share);
                return Ok(());
            }
            other = read_by(&answer).find_map(|change| match Key::parse(&change.key) {
                Ok(Key::Ingress(_, other, _)) if other != *network => Some(other),
                _ => None,
            });
        }
        let other = other.map_or_else(|| "another network".to_owned(), |other| format!("network {other}"));
        let reason = format!(
            "port {port} of network {network} is already allocated: {other} has it on every host. Publish another, or stop those containers"
        );
        self.ingress.refused.insert(key, reason);
        Ok(())
    }

    /// Why others are not told of one of these ports.
    pub(crate) fn refused(&self, network: &NetworkName, ports: &[Port]) -> Option<&String> {
        ports.iter().find_map(|port| self.ingress.refused.get(&(*port, network.clone())))
    }

    /// Which number each host has: those in etcd first.
    pub(crate) fn numbers(&self) -> BTreeMap<HostId, Number> {
        let mut numbers = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (number, host) in self.view.numbers.iter().chain(&self.ingress.held_numbers) {
            if !numbers.contains_key(host) && taken.insert(*number) {
                numbers.insert(host.clone(), *number);
            }
        }
        numbers
    }

    /// This host's own, which it takes when it first needs one. It keeps it for good.
    async fn number(&mut self) -> Result<Option<Number>, Error> {
        if let Some((number, _)) = self.view.numbers.iter().find(|(_, host)| **host == self.id) {
            return Ok(Some(*number));
        }
        let earlier = self.numbers().get(&self.id).copied();
        if self.etcd.is_none() {
            return Ok(earlier);
        }
        let mut all: Vec<_> = Number::all().collect();
        let first = usize::try_from(hash(&[self.id.as_str()]) % 255).unwrap_or_default();
        all.rotate_left(first);
        for number in earlier.into_iter().chain(all) {
            if self.view.numbers.contains_key(&number) {
                continue;
            }
            let key = Key::Number(number);
            let id = self.id.clone();
            let answer = self.transact("take a number", transactions::take_number(&key, &id)).await?;
            if answer.succeeded() {
                self.note(&key, Some(&id), revision(&answer));
                return Ok(Some(number));
            }
            self.note_read(&answer);
        }
        Err(Error::Refused(
            "255 hosts answer ports for each other, and no more can: this one does not. Remove hosts that are gone (\"ferrocni overlay host \
             ls\")"
                .to_owned(),
        ))
    }

    /// The packet filter leads to a host only while there is a way to it: new ways come before that, and old ones go after it.
    fn program_ingress(&mut self, shares: &Shares, number: Option<Number>) -> Result<(), Error> {
        let Some((number, local)) = number.zip(self.underlay.address()) else {
            self.ingress.programmed = Filtered::default();
            let guarded = self.guard();
            self.kernel.route_back(BTreeSet::new())?;
            self.kernel.program_ingress(BTreeMap::new())?;
            self.ingress.reserved.keep(&BTreeSet::new());
            return guarded;
        };
        let here = Here { id: &self.id, underlay: &self.underlay, local, port: self.cluster().vxlan_port };
        let numbers = self.numbers();
        let has_family = |ipv4: &bool| shares.values().any(|share| share.of_family(*ipv4) > 0);
        let families = [true, false].map(|ipv4| Some(ipv4).filter(has_family));
        let is_encrypted = |encrypted: bool| shares.values().any(|share| share.encrypted == encrypted);
        let ways = [false, true].into_iter().filter(|encrypted| is_encrypted(*encrypted));
        let ways: BTreeMap<_, _> = ways
            .filter(|encrypted| !encrypted || self.kernel.tunnel.is_some())
            .map(|encrypted| (encrypted, wanted(&Own { here, number, encrypted, families }, &numbers, &self.view)))
            .collect();
        let reached = ways.iter().map(|(encrypted, (_, reached))| (*encrypted, reached.clone())).collect();
        let (filtered, problem) = self.filtered(shares, number, &numbers, &reached);
        let led_to =
            |filtered: &Filtered| Filtered { services: BTreeMap::new(), arrivals: BTreeMap::new(), ..filtered.clone() };
        let before = std::mem::take(&mut self.ingress.programmed);
        // Who may send, and that nothing else may: before there is anything to be reached by.
        self.ingress.programmed = Filtered {
            services: kept(&before.services, &filtered.services),
            arrivals: kept(&before.arrivals, &filtered.arrivals),
            ..led_to(&filtered)
        };
        let own = number.addresses(false).into_iter().filter(|address| families.contains(&Some(address.is_ipv4())));
        let own: Vec<_> = own.collect();
        let guarded = self.guard();
        let back = numbers.iter().filter(|(host, _)| **host != self.id);
        let back: BTreeSet<_> = back
            .flat_map(|(host, number)| {
                let by = ways.iter().filter(|(_, (_, reached))| reached.contains(host));
                by.map(|(encrypted, _)| (*number, *encrypted)).collect::<Vec<_>>()
            })
            .collect();
        let has_own = !filtered.arrivals.is_empty();
        let wanted = ways.into_iter().map(|(encrypted, (wanted, _))| (encrypted, wanted)).collect();
        let forwarded = container_interface::router::enable_forwarding(self.kernel.host(), &own);
        let programmed = forwarded.map_err(Error::from).and_then(|()| self.kernel.program_ingress(wanted));
        let routed = self.kernel.route_back(if has_own { rules(&back) } else { BTreeSet::new() });
        guarded.and(programmed)?;
        let forget = forgotten(&before, &filtered);
        if self.ingress.programmed != filtered {
            self.ingress.programmed = filtered;
            self.guard()?;
        }
        conntrack::remove(&forget)?;
        routed?;
        problem.map_or(Ok(()), |problem| Err(Error::Refused(problem)))
    }

    /// What the packet filter has to know, and what stands in the way of a port.
    fn filtered(
        &mut self,
        shares: &Shares,
        number: Number,
        numbers: &BTreeMap<HostId, Number>,
        reached: &BTreeMap<bool, BTreeSet<HostId>>,
    ) -> (Filtered, Option<String>) {
        let mut problems = Vec::new();
        let mut filtered = Filtered {
            devices: [false, true].map(|encrypted| device(encrypted).to_owned()).into(),
            own: [false, true].into_iter().flat_map(|encrypted| number.addresses(encrypted)).collect(),
            ..Filtered::default()
        };
        for (encrypted, hosts) in reached {
            let entry = |host: &HostId| {
                let from = (device(*encrypted).to_owned(), mac_of(host, *encrypted));
                numbers.get(host).map(|number| (from, mark(number.get(), *encrypted)))
            };
            filtered.entries.extend(hosts.iter().filter_map(entry));
        }
        let ports = by_port(shares, &mut problems);
        problems.extend(self.ingress.reserved.keep(&ports.keys().copied().collect()));
        for (port, (network, hosts)) in ports {
            for is_ipv4 in [true, false] {
                let key = (port.protocol, port.port, is_ipv4);
                let local = self.local_targets(&network, port, is_ipv4);
                if let Some(share) = hosts.get(&self.id).filter(|_| !local.is_empty()) {
                    filtered.expected.insert((device(share.encrypted).to_owned(), key.0, key.1, is_ipv4));
                    filtered.arrivals.insert(key, fill(&local, self.id.as_str()));
                }
                if !self.ingress.reserved.has(port) {
                    continue;
                }
                let others = hosts.iter().filter(|(host, share)| **host != self.id && share.of_family(is_ipv4) > 0);
                let mut targets = local;
                for (host, share) in others {
                    let way = reached.get(&share.encrypted).filter(|reached| reached.contains(host));
                    match way.and(numbers.get(host)) {
                        Some(number) => {
                            let address = number.addresses(share.encrypted)[usize::from(!is_ipv4)];
                            targets.push(Target { to: (address, port.port).into(), weight: share.of_family(is_ipv4) });
                        }
                        None => problems.push(format!("host {host}, which has port {port}, cannot be reached for it")),
                    }
                }
                if !targets.is_empty() {
                    filtered.services.insert(key, self.slots_of(key, targets));
                }
            }
        }
        self.ingress.slots.retain(|key, _| filtered.services.contains_key(key));
        problems.dedup();
        (filtered, problems.first().map(|first| in_words(first, problems.len())))
    }

    fn local_targets(&self, network: &NetworkName, port: Port, is_ipv4: bool) -> Vec<Target> {
        let behind = self.joined.get(network).and_then(|joined| joined.behind.get(&port));
        let of_family = behind.into_iter().flatten().filter(|it| it.is_ipv4() == is_ipv4);
        of_family.map(|to| Target { to: *to, weight: 1 }).collect()
    }

    /// Ports whose targets are the same have the same slots.
    fn slots_of(&mut self, key: (Protocol, u16, bool), targets: Vec<Target>) -> Vec<SocketAddr> {
        match self.ingress.slots.get(&key) {
            Some((known, slots)) if *known == targets => slots.clone(),
            _ => {
                let slots = fill(&targets, self.id.as_str());
                self.ingress.slots.insert(key, (targets, slots.clone()));
                slots
            }
        }
    }

    pub(crate) fn filtered_ingress(&self) -> Filtered {
        self.ingress.programmed.clone()
    }

    /// Leaves what is known for people, and for the next agent.
    fn report_ingress(&mut self, shares: &Shares, number: Option<Number>) -> Result<(), Error> {
        let mut ports: BTreeMap<(Port, NetworkName), KnownPort> = BTreeMap::new();
        for ((port, network, host), share) in shares {
            let known = || KnownPort {
                port: *port,
                network: network.clone(),
                hosts: BTreeMap::new(),
                answered: self.ingress.reserved.has(*port) && number.is_some(),
                problem: self.ingress.reserved.problem(*port),
            };
            ports.entry((*port, network.clone())).or_insert_with(known).hosts.insert(host.clone(), *share);
        }
        let numbers = self.numbers().into_iter().map(|(host, number)| (number, host));
        let numbers = numbers.filter(|_| !ports.is_empty()).collect();
        let state = IngressState { numbers, ports: ports.into_values().collect() };
        if self.ingress.told.as_ref() != Some(&state) {
            publication::write_ingress(&self.places, &state)?;
            self.ingress.told = Some(state);
        }
        Ok(())
    }
}

/// What hosts have behind each port. Of two networks that have the same, which a transaction prevents, the first counts.
fn by_port(shares: &Shares, problems: &mut Vec<String>) -> BTreeMap<Port, (NetworkName, BTreeMap<HostId, Share>)> {
    let mut ports: BTreeMap<Port, (NetworkName, BTreeMap<HostId, Share>)> = BTreeMap::new();
    for ((port, network, host), share) in shares {
        let (first, hosts) = ports.entry(*port).or_insert_with(|| (network.clone(), BTreeMap::new()));
        if first == network {
            hosts.insert(host.clone(), *share);
        } else {
            problems.push(format!("port {port} is published by networks {first} and {network}: {first} has it"));
        }
    }
    ports
}

fn in_words(first: &str, count: usize) -> String {
    if count == 1 { first.to_owned() } else { format!("{first}; and {} more", count - 1) }
}

/// What stays as it is until what is new can be reached.
fn kept(before: &Slots, wanted: &Slots) -> Slots {
    let known: BTreeSet<_> = before.values().flatten().collect();
    let is_reachable = |slots: &&Vec<SocketAddr>| slots.iter().all(|to| known.contains(to));
    let mut kept = Slots::new();
    for (key, slots) in wanted {
        let slots = Some(slots).filter(is_reachable).or_else(|| before.get(key));
        kept.extend(slots.map(|slots| (*key, slots.clone())));
    }
    kept
}

/// The UDP connections that are to begin anew: those to ports that led nowhere before, and to where they lead no more.
fn forgotten(before: &Filtered, now: &Filtered) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (before, now) in [(&before.services, &now.services), (&before.arrivals, &now.arrivals)] {
        let keys: BTreeSet<_> =
            before.keys().chain(now.keys()).filter(|(protocol, ..)| *protocol == Protocol::Udp).collect();
        for key in keys {
            let filter = Filter {
                version: if key.2 { Version::V4 } else { Version::V6 },
                protocol: key.0.number(),
                port: key.1,
                address: None,
                reply_source: None,
            };
            let Some(earlier) = before.get(key) else {
                filters.push(filter);
                continue;
            };
            let later: BTreeSet<_> = now.get(key).into_iter().flatten().map(SocketAddr::ip).collect();
            let gone: BTreeSet<_> = earlier.iter().map(SocketAddr::ip).filter(|to| !later.contains(to)).collect();
            filters.extend(gone.into_iter().map(|to| Filter { reply_source: Some(to), ..filter }));
        }
    }
    filters
}

/// For a host that is removed: its numbers are free.
pub(crate) async fn numbers_of(etcd: &mut Etcd, host: &HostId) -> Result<Vec<Key>, Error> {
    let listing = etcd.list(&Key::all("ingress-number"), None).await?;
    let is_its = |value: &Option<Vec<u8>>| {
        value.as_ref().is_some_and(|value| serde_json::from_slice::<HostId>(value).is_ok_and(|id| id == *host))
    };
    let its = listing.changes.iter().filter(|change| is_its(&change.value));
    Ok(its.filter_map(|change| Key::parse(&change.key).ok()).collect())
}
