//! The agent: hears what etcd, plugins and the clock have to say, one after the other, and has this host follow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::mem::take;
use std::time::Duration;

use cni::NetworkName;
use overlay::{AgentState, Cluster, HostId, Places, WireGuard};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::answer::Pending;
use crate::configuration::Configuration;
use crate::etcd::{Etcd, Listing};
use crate::ingress::Ingress;
use crate::joined::{Joined, catch_up, reservations};
use crate::kernel::vxlan::{Here, Seen, Wanted};
use crate::kernel::wireguard::{Here as Inside, Tunnel, Wanted as EncryptedWanted};
use crate::kernel::{Kernel, guard};
use crate::lease::Lease;
use crate::log::{Matters, line, say};
use crate::names::Names;
use crate::server::{self, Question};
use crate::session::{News, Session, Wish};
use crate::underlay::Found;
use crate::view::{Change, NetworkView, Touched, View};
use crate::{Error, identity, publication, transactions};

/// How often everything is compared with what is there.
const COMPARE: Duration = Duration::from_secs(60);
/// How often the lease is looked at, at most.
const BEAT: Duration = Duration::from_secs(20);

/// Everything that it knows.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) configuration: Configuration,
    pub(crate) places: Places,
    pub(crate) id: HostId,
    pub(crate) underlay: Found,
    pub(crate) view: View,
    pub(crate) kernel: Kernel,
    pub(crate) joined: BTreeMap<NetworkName, Joined>,
    pub(crate) session: Session,
    questions: UnboundedReceiver<Question>,
    pub(crate) etcd: Option<Etcd>,
    /// Why there is no connection.
    pub(crate) unreachable: Option<String>,
    /// Since when there is one.
    pub(crate) connected_at: Option<Instant>,
    /// Everything was listed once: what is not there is not there.
    has_seen_all: bool,
    pub(crate) lease: Option<Lease>,
    pub(crate) pending: Vec<Pending>,
    /// Networks of which everything is to be looked at.
    pub(crate) dirty: BTreeSet<NetworkName>,
    /// Networks of which only that is to be looked at which this host has, besides what follows.
    pub(crate) changed: BTreeSet<NetworkName>,
    /// To which hosts there may be other ways in the kernel.
    moved: BTreeMap<NetworkName, Hosts>,
    pub(crate) names: Names,
    pub(crate) ingress: Ingress,
    /// Which hosts may have told something new of containers.
    heard: BTreeMap<NetworkName, Hosts>,
    /// Hosts of which nothing is heard yet after a time without etcd are believed to have what they had.
    held: bool,
    /// Since when hosts give no sign of life.
    pub(crate) silent_since: BTreeMap<HostId, Instant>,
    /// What stands in the way, by whom it concerns.
    pub(crate) obstacles: BTreeMap<String, String>,
    matters: Matters,
    reported: AgentState,
    resyncs: u64,
    _alone: File,
}

/// Other hosts of a network: a change costs what has changed, not the size of the network.
#[derive(Debug)]
enum Hosts {
    All,
    These(BTreeSet<HostId>),
}

impl Hosts {
    fn none() -> Self {
        Self::These(BTreeSet::new())
    }

    fn add(&mut self, others: impl IntoIterator<Item = HostId>) {
        if let Self::These(hosts) = self {
            hosts.extend(others);
        }
    }
}

impl Agent {
    /// Finds out who and where this host is, and which networks it had joined.
    pub(crate) async fn start(configuration: Configuration) -> Result<Self, Error> {
        let places = Places::default();
        let alone = lock(&places)?;
        let mut kernel = Kernel::open()?;
        let (mut joined, mut obstacles) = (BTreeMap::new(), BTreeMap::new());
        let with_device = kernel.networks()?.into_keys();
        for network in places.joined()?.into_iter().chain(with_device) {
            catch_up(&network)?;
            // One that cannot be read is written anew as soon as etcd is there.
            let state = places.state(&network).unwrap_or_else(|error| {
                obstacles.insert(network.to_string(), line(&error));
                None
            });
            joined.insert(network, Joined { state, ..Joined::default() });
        }
        let session = Session::start(configuration.clone(), joined.keys().cloned().collect());
        let mut this = Self {
            id: identity::id()?,
            underlay: Found::look(&configuration)?,
            view: View::default(),
            questions: server::start(&places)?,
            etcd: None,
            unreachable: Some("there was no answer yet".to_owned()),
            connected_at: None,
            has_seen_all: false,
            lease: None,
            pending: Vec::new(),
            dirty: BTreeSet::new(),
            changed: BTreeSet::new(),
            moved: BTreeMap::new(),
            names: Names::start()?,
            // One that cannot be read is written anew.
            ingress: Ingress::start(places.ingress_state().unwrap_or_default()),
            heard: BTreeMap::new(),
            held: false,
            silent_since: BTreeMap::new(),
            matters: Matters::default(),
            reported: AgentState::default(),
            resyncs: 0,
            _alone: alone,
            configuration,
            places,
            kernel,
            joined,
            session,
            obstacles,
        };
        // Before others are told of this host: it still has the key that they know.
        let is_encrypted = |joined: &Joined| joined.state.as_ref().is_some_and(|state| state.network.encrypted);
        if this.joined.values().any(is_encrypted)
            && let Err(error) = this.encrypt()
        {
            this.obstacle("encrypted networks", Some(line(&error)));
        }
        Ok(this)
    }

    /// Runs until it is told to end. Nothing in the kernel changes then.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        say(&format!("host {} ({}) begins", self.id, identity::name(&self.configuration)));
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
        let mut beat = interval(BEAT.min(self.configuration.time_to_live / 3));
        let mut minute = interval(COMPARE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                Some(news) = self.session.news.recv() => self.hear(news).await,
                Some(question) = self.questions.recv() => self.answer(question).await,
                renamed = self.names.changed() => self.rename(renamed),
                _ = beat.tick() => {
                    self.beat().await;
                    self.reclaim().await;
                }
                _ = minute.tick() => self.compare().await,
                () = sleep_until(deadline) => {}
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
            // What has come meanwhile belongs to the same look.
            while let Ok(news) = self.session.news.try_recv() {
                self.hear(news).await;
            }
            self.settle().await;
        }
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Connected(etcd, all) => self.connected(*etcd, &all).await,
            News::Joined(network, all) if self.joined.contains_key(&network) => {
                self.view.replace_network(&network, &all.changes, all.revision);
                self.dirty.insert(network);
            }
            News::Joined(..) => {}
            News::Changed(changes) => self.apply(&changes),
            News::Lost(reason) => {
                self.etcd = None;
                self.view.distrust_written();
                self.connected_at = None;
                self.unreachable = Some(reason);
            }
        }
    }

    /// Own records are written before anybody else's absence is believed.
    async fn connected(&mut self, etcd: Etcd, all: &Listing) {
        self.resyncs += u64::from(self.has_seen_all);
        let (shares, numbers) = (take(&mut self.view.ingress), take(&mut self.view.numbers));
        self.view.replace(&all.changes, all.revision);
        self.ingress.hold(shares, numbers);
        self.etcd = Some(etcd);
        self.unreachable = None;
        self.connected_at.get_or_insert_with(Instant::now);
        self.has_seen_all = true;
        self.held = true;
        self.dirty.extend(self.joined.keys().cloned());
        for (network, joined) in &mut self.joined {
            joined.published = self.view.endpoints_of(network, &self.id);
        }
        self.agree().await;
        self.beat().await;
    }

    pub(crate) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let touched = self.view.apply(change);
            self.touch(touched);
        }
    }

    pub(crate) fn touch(&mut self, touched: Touched) {
        match touched {
            Touched::Nobody | Touched::Alive | Touched::Numbers => {}
            Touched::Ingress(port, network, host) => self.ingress.heard(port, &network, &host),
            Touched::Everybody => self.dirty.extend(self.joined.keys().cloned()),
            Touched::Host(host) => {
                let networks: Vec<_> = self.view.networks_of(&host).cloned().collect();
                networks.into_iter().for_each(|network| self.moved(network, BTreeSet::from([host.clone()])));
            }
            Touched::Holders(network, hosts) if self.joined.contains_key(&network) => self.moved(network, hosts),
            Touched::Endpoint(network, host) if self.joined.contains_key(&network) && host != self.id => {
                self.heard.entry(network).or_insert_with(Hosts::none).add([host]);
            }
            Touched::Endpoint(network, _) if self.joined.contains_key(&network) => drop(self.changed.insert(network)),
            Touched::Network(network) if self.joined.contains_key(&network) => drop(self.dirty.insert(network)),
            // Nobody here is interested any more.
            Touched::Network(network) | Touched::Holders(network, _) | Touched::Endpoint(network, _) => {
                self.view.forget(&network);
            }
        }
    }

    /// Hosts have other blocks or addresses of a network than before, or are elsewhere.
    fn moved(&mut self, network: NetworkName, hosts: BTreeSet<HostId>) {
        let Some(joined) = self.joined.get_mut(&network) else { return };
        joined.smallest_mtu = None;
        self.changed.insert(network.clone());
        self.moved.entry(network).or_insert_with(Hosts::none).add(hosts);
    }

    /// Everything of a network is to be looked at.
    fn look_over(&mut self, network: NetworkName) {
        let Some(joined) = self.joined.get_mut(&network) else { return };
        joined.smallest_mtu = None;
        self.changed.insert(network.clone());
        self.moved.insert(network.clone(), Hosts::All);
        self.heard.insert(network, Hosts::All);
    }

    /// What all hosts agree on, which the first of them writes.
    async fn agree(&mut self) {
        if self.view.cluster.is_none() {
            let founded =
                self.transact("read what all hosts agree on", transactions::found_cluster(&self.configuration.cluster));
            if let Ok(answer) = founded.await {
                self.note_read(&answer);
            }
        }
        let (own, agreed) = (self.configuration.cluster, self.cluster());
        let differs = (own.vxlan_port, own.wireguard_port) != (agreed.vxlan_port, agreed.wireguard_port);
        self.obstacle(
            "cluster",
            differs.then(|| {
                format!(
                    "the cluster uses ports {} (VXLAN) and {} (WireGuard), not those of this host's configuration",
                    agreed.vxlan_port, agreed.wireguard_port
                )
            }),
        );
    }

    /// What all hosts agree on, or what this one would suggest.
    pub(crate) fn cluster(&self) -> Cluster {
        self.view.cluster.unwrap_or(self.configuration.cluster)
    }

    /// Gives a sign of life, and says where this host is.
    pub(crate) async fn beat(&mut self) {
        if let Err(error) = self.try_beat().await {
            self.lost(&error);
        }
    }

    async fn try_beat(&mut self) -> Result<(), Error> {
        let Some(etcd) = &mut self.etcd else { return Ok(()) };
        let time_to_live = self.configuration.time_to_live;
        let port = self.view.cluster.unwrap_or(self.configuration.cluster).wireguard_port;
        let end = |tunnel: &Tunnel| WireGuard { public_key: tunnel.public_key.to_string(), port };
        let host = self.underlay.describe(identity::name(&self.configuration), self.kernel.tunnel.as_ref().map(end));
        if let Some(lease) = &mut self.lease {
            let is_known = self.view.alive.contains(&self.id) && self.view.hosts.get(&self.id) == Some(&host);
            if is_known && !lease.is_due(time_to_live) {
                return Ok(());
            }
            if lease.renew(etcd).await? {
                if is_known {
                    return Ok(());
                }
            } else {
                self.lease = None;
            }
        }
        let lease = match self.lease {
            Some(lease) => lease,
            None => Lease::grant(etcd, time_to_live).await?,
        };
        etcd.transaction("say that this host lives", transactions::announce(&self.id, &host, lease.id)).await?;
        self.lease = Some(lease);
        // Everything that ended with an earlier lease is to come back.
        self.joined.values_mut().for_each(|joined| joined.published.clear());
        self.ingress.forget_published();
        self.dirty.extend(self.joined.keys().cloned());
        Ok(())
    }

    /// Once a minute, and when it is asked for: is everything as it should be?
    pub(crate) async fn compare(&mut self) {
        match Found::look(&self.configuration) {
            Ok(found) if found == self.underlay => self.obstacle("underlay", None),
            Ok(found) => {
                say(&format!("other hosts reach this one at {:?} now", found.addresses));
                self.underlay = found;
                self.dirty.extend(self.joined.keys().cloned());
                self.beat().await;
            }
            Err(error) => self.obstacle("underlay", Some(line(&error))),
        }
        let compared = self.kernel.compare().err().map(|error| line(&error));
        self.obstacle("kernel", compared);
        self.dirty.extend(self.joined.keys().cloned());
    }

    /// Records of names have changed on these lists. One that is not called like its network may be of any.
    fn rename(&mut self, renamed: Result<BTreeSet<NetworkName>, Error>) {
        let outcome = renamed.map(|lists| {
            let all_known = lists.iter().all(|list| self.joined.contains_key(list));
            self.changed.extend(if all_known { lists } else { self.joined.keys().cloned().collect() });
        });
        self.obstacle("names", outcome.err().map(|error| line(&error)));
    }

    /// Leaves what other hosts have told of a network for the DNS server.
    fn pass_on(&mut self, name: &NetworkName, hosts: Hosts) -> Result<(), Error> {
        let mut hosts = match hosts {
            Hosts::These(hosts) => hosts,
            Hosts::All => {
                let tellers = self.view.networks.get(name).map(NetworkView::tellers).unwrap_or_default();
                self.names.hosts_of(name).union(&tellers).cloned().collect()
            }
        };
        hosts.remove(&self.id);
        hosts.iter().try_for_each(|host| self.pass_on_of(name, host))
    }

    /// A host that was not heard of since etcd is back may not have had the time to tell: it is not dead for that.
    fn pass_on_of(&mut self, name: &NetworkName, host: &HostId) -> Result<(), Error> {
        let Some(of_network) = self.view.networks.get(name) else { return Ok(()) };
        let told = of_network.told_by(host);
        if told.is_empty() && !self.has_heard_for_long() && !of_network.is_told_by(host) {
            return Ok(());
        }
        self.names.tell(name, host, &told)
    }

    /// Whether every host had the time to give a sign of life since etcd could be reached.
    pub(crate) fn has_heard_for_long(&self) -> bool {
        self.connected_at.is_some_and(|since| since.elapsed() > self.configuration.time_to_live)
    }

    /// Has this host follow what has changed.
    pub(crate) async fn settle(&mut self) {
        if self.has_seen_all {
            if self.held && self.has_heard_for_long() {
                self.held = false;
                self.view.forget_remembered();
                self.ingress.let_go();
                self.dirty.extend(self.joined.keys().cloned());
            }
            for network in take(&mut self.dirty) {
                self.look_over(network);
            }
            for network in take(&mut self.changed) {
                let outcome = self.settle_network(&network).await;
                self.obstacle(network.as_str(), outcome.err().map(|error| line(&error)));
            }
            let strange = self.names.remove_strange(self.joined.keys());
            self.obstacle("names elsewhere", strange.err().map(|error| line(&error)));
            for (network, hosts) in take(&mut self.heard) {
                let outcome = self.pass_on(&network, hosts);
                self.obstacle("names", outcome.err().map(|error| line(&error)));
            }
            let settled = self.settle_ingress().await;
            self.obstacle("published ports", settled.err().map(|error| line(&error)));
        }
        self.answer_pending();
        self.report();
    }

    pub(crate) async fn settle_network(&mut self, name: &NetworkName) -> Result<(), Error> {
        if !self.joined.contains_key(name) {
            return Ok(());
        }
        let reserved = reservations(name)?;
        if self.view.network(name).is_none() && !self.restore(name, &reserved).await? {
            return self.leave(name);
        }
        self.restore_blocks(name, &reserved).await?;
        self.tell_plugins(name, &reserved)?;
        let behind = self.behind(name, &reserved)?;
        if let Some(joined) = self.joined.get_mut(name) {
            joined.behind = behind;
        }
        self.program(name)?;
        let (own, is_on_other_lists) = self.names.endpoints(name, &reserved);
        if is_on_other_lists {
            self.heard.insert(name.clone(), Hosts::All);
        }
        self.publish(name, own).await?;
        self.tidy(name, &reserved).await
    }

    /// Writes what plugins have to know, if it is new.
    pub(crate) fn tell_plugins(
        &mut self,
        name: &NetworkName,
        reserved: &crate::joined::Reservations,
    ) -> Result<(), Error> {
        let mtu = self.smallest_mtu(name);
        let Some((of_network, known)) = self.view.network(name) else { return Ok(()) };
        let Some(joined) = self.joined.get_mut(name) else { return Ok(()) };
        let state = joined.state(&self.id, &known.value, of_network, mtu, reserved);
        if joined.state.as_ref() != Some(&state) {
            publication::write_state(&self.places, name, &state)?;
            joined.state = Some(state);
        }
        Ok(())
    }

    /// The largest packet that fits on every host with containers of a network. Remembered until hosts come, go or move.
    fn smallest_mtu(&mut self, name: &NetworkName) -> u32 {
        let Some((of_network, known)) = self.view.network(name) else { return 0 };
        let find = || {
            let hosts = of_network.holders().filter(|host| of_network.blocks_of(host).next().is_some());
            hosts.filter_map(|host| self.view.hosts.get(host)).map(|host| host.mtu).min()
        };
        let remembered = self.joined.get_mut(name).map(|joined| &mut joined.smallest_mtu);
        let others = remembered.and_then(|remembered| *remembered.get_or_insert_with(find));
        let smallest = others.map_or(self.underlay.mtu, |others| others.min(self.underlay.mtu));
        self.local().map_or(smallest, |local| crate::kernel::vxlan::inner_mtu(smallest, &known.value, local))
    }

    fn local(&self) -> Option<std::net::IpAddr> {
        self.underlay.address()
    }

    /// Has the kernel follow what has changed of a network. An encrypted network has no device that sends in clear, whatever else is
    /// missing.
    pub(crate) fn program(&mut self, name: &NetworkName) -> Result<(), Error> {
        let Some(hosts) = self.moved.remove(name) else { return Ok(()) };
        match &hosts {
            Hosts::All => drop(self.heard.insert(name.clone(), Hosts::All)),
            // Which addresses are theirs has changed, so what they tell may be believed now, or no longer.
            Hosts::These(hosts) => {
                self.heard.entry(name.clone()).or_insert_with(Hosts::none).add(hosts.iter().cloned());
            }
        }
        let outcome = self.lead_to(name, hosts);
        if outcome.is_err() {
            self.moved.insert(name.clone(), Hosts::All);
        }
        outcome
    }

    fn lead_to(&mut self, name: &NetworkName, hosts: Hosts) -> Result<(), Error> {
        let Some((of_network, known)) = self.view.network(name) else { return Ok(()) };
        let Some(local) = self.local() else { return Ok(()) };
        if known.value.encrypted {
            return self.program_encrypted();
        }
        let here = Here { id: &self.id, underlay: &self.underlay, local, port: self.cluster().vxlan_port };
        let network = Seen { name, network: &known.value, of_network, view: &self.view, here: &here };
        let unreached = match hosts {
            Hosts::These(hosts) if self.kernel.has(name) => self.kernel.lead_to(&network, &hosts)?,
            _ => self.kernel.program(name, Wanted::of(&network))?,
        };
        self.tell_unreached(
            name.as_str(),
            unreached,
            &format!("it has no address of the same family as {local}, or is not in etcd"),
        );
        Ok(())
    }

    /// The same for all encrypted networks, which share a device.
    pub(crate) fn program_encrypted(&mut self) -> Result<(), Error> {
        self.encrypt()?;
        let (Some(local), Some(tunnel)) = (self.local(), &self.kernel.tunnel) else { return Ok(()) };
        let here = Inside { id: &self.id, underlay: &self.underlay, local, key: tunnel.public_key };
        let (mut wanted, mut unreached) = (EncryptedWanted::default(), BTreeSet::new());
        for (of_network, known) in self.joined.keys().filter_map(|name| self.view.network(name)) {
            if known.value.encrypted {
                wanted.add(&known.value, of_network, &self.view, &here, &mut unreached);
            }
        }
        if let Some(number) = self.number_in_tunnel() {
            wanted.add_hosts(number, &self.numbers(), &self.view, &here);
        }
        self.kernel.program_encrypted(wanted)?;
        let some = unreached.first().cloned().map(|host| (unreached.len(), host));
        self.tell_unreached("encrypted", some, "it has no key, or no address of the same family, or is not in etcd");
        Ok(())
    }

    /// Hosts that cannot be reached are no reason not to reach the others, but have to be told of.
    fn tell_unreached(&mut self, network: &str, unreached: Option<(usize, HostId)>, why: &str) {
        let told = |(number, host)| format!("{number} hosts cannot be reached, host {host} among them: {why}");
        self.obstacle(&format!("hosts of {network}"), unreached.map(told));
    }

    /// Sees that this host can be in encrypted networks.
    pub(crate) fn encrypt(&mut self) -> Result<(), Error> {
        let Some(local) = self.local() else { return Ok(()) };
        let port = self.cluster().wireguard_port;
        self.kernel.encrypt(&self.underlay, local, port)
    }

    pub(crate) fn guard(&mut self) -> Result<(), Error> {
        let networks: Vec<_> = self.joined.keys().filter_map(|name| Some(&self.view.network(name)?.1.value)).collect();
        let wanted = guard::wanted(
            networks.into_iter(),
            &self.view,
            &self.id,
            self.cluster().vxlan_port,
            self.filtered_ingress(),
        );
        self.kernel.guard(&wanted)
    }

    /// Takes away what this host has of a network that is no more.
    fn leave(&mut self, name: &NetworkName) -> Result<(), Error> {
        let devices = self.kernel.networks()?;
        if let Some(device) = devices.get(name) {
            self.kernel.remove(name, device)?;
        }
        publication::remove_state(&self.places, name)?;
        self.names.leave(name);
        self.moved.remove(name);
        self.heard.remove(name);
        self.obstacle(&format!("hosts of {name}"), None);
        let state = self.joined.remove(name).and_then(|joined| joined.state);
        if state.is_some_and(|state| state.network.encrypted) {
            self.leave_encrypted()?;
        }
        self.view.forget(name);
        self.session.wish(Wish::Forget(name.clone()));
        let subnets = self.joined.values().filter_map(|joined| joined.state.as_ref());
        let subnets = subnets.flat_map(|state| state.network.subnets.iter().map(overlay::Subnet::network)).collect();
        self.kernel.keep_unreachable(&subnets)
    }

    /// After the last encrypted network there is nothing to encrypt.
    pub(crate) fn leave_encrypted(&mut self) -> Result<(), Error> {
        let is_encrypted = |joined: &Joined| joined.state.as_ref().is_some_and(|state| state.network.encrypted);
        let is_needed = self.joined.values().any(is_encrypted) || self.number_in_tunnel().is_some();
        if is_needed { self.program_encrypted() } else { self.kernel.stop_encrypting() }
    }

    /// etcd has not answered: those who ask meanwhile need not wait to hear it.
    pub(crate) fn lost(&mut self, error: &Error) {
        self.obstacle("etcd", Some(line(error)));
    }

    /// Notes that something stands in the way, or no longer does.
    pub(crate) fn obstacle(&mut self, whom: &str, what: Option<String>) {
        match what {
            Some(what) => drop(self.obstacles.insert(whom.to_owned(), what)),
            None => drop(self.obstacles.remove(whom)),
        }
    }

    fn report(&mut self) {
        let of_networks = self.view.networks.iter();
        let misplaced: Vec<_> = of_networks
            .flat_map(|(name, view)| view.misplaced().iter().map(move |what| format!("network {name}: {what}")))
            .collect();
        let nonsense = self.view.nonsense.len() + misplaced.len();
        let unreachable = self.unreachable.iter().map(|reason| format!("etcd cannot be reached: {reason}"));
        let obstacles = self.obstacles.iter().map(|(whom, what)| format!("{whom}: {what}"));
        let conflicts = self.joined.iter().flat_map(|(name, joined)| {
            let conflicts = joined.state.iter().flat_map(|state| &state.conflicts);
            conflicts.map(move |conflict| {
                let containers = conflict.containers.join(", ");
                format!(
                    "network {name}: host {} owns {} now, of which there are addresses here: stop {containers}",
                    conflict.owner, conflict.block
                )
            })
        });
        let matters =
            unreachable.chain(obstacles).chain(conflicts).chain(self.view.nonsense.values().cloned()).chain(misplaced);
        self.matters.are(matters.collect());
        let state = AgentState {
            host: self.id.to_string(),
            connected: self.etcd.is_some(),
            problem: self.unreachable.clone(),
            hosts: self.view.hosts.len(),
            alive: self.view.alive.len(),
            networks: self.joined.len(),
            drift: self.kernel.drift,
            ports: self.ingress.answers(),
            nonsense,
            resyncs: self.resyncs,
            problems: self.matters.list(),
        };
        if state == self.reported {
            return;
        }
        match publication::write_agent(&self.places, &state) {
            Ok(()) => self.reported = state,
            Err(error) => say(&line(&error)),
        }
    }
}

/// One agent a host.
fn lock(places: &Places) -> Result<File, Error> {
    let path = places.folder().join("lock");
    let failed = |source| Error::Write { path: path.clone(), source };
    std::fs::create_dir_all(places.folder()).map_err(failed)?;
    let file = files::open_lock(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Another { path }),
        Err(TryLockError::Error(source)) => Err(Error::Write { path, source }),
    }
}

/// Removes devices, routes, rules and files, as far as no container has an address of the network.
pub(crate) fn clean() -> Result<(), Error> {
    let places = Places::default();
    let _alone = lock(&places)?;
    let mut kernel = Kernel::open()?;
    let mut kept = BTreeSet::new();
    for (network, device) in kernel.networks()? {
        if reservations(&network)?.is_empty() {
            kernel.remove(&network, &device)?;
            publication::remove_state(&places, &network)?;
        } else {
            say(&format!("network {network} stays: containers have addresses of it"));
            kept.extend(
                places
                    .state(&network)?
                    .into_iter()
                    .flat_map(|state| state.network.subnets)
                    .map(|subnet| subnet.network()),
            );
        }
    }
    kept.extend(clean_encrypted(&mut kernel, &places)?);
    kernel.keep_unreachable(&kept)?;
    if !kept.is_empty() {
        return Ok(());
    }
    kernel.route_back(BTreeSet::new())?;
    kernel.program_ingress(BTreeMap::new())?;
    publication::write_ingress(&places, &overlay::IngressState::default())?;
    kernel.remove_guard()
}

/// The same for encrypted networks; the subnets of those that stay.
fn clean_encrypted(kernel: &mut Kernel, places: &Places) -> Result<BTreeSet<ipnetwork::IpNetwork>, Error> {
    let mut kept = BTreeSet::new();
    for network in places.joined()? {
        let Some(state) = places.state(&network)?.filter(|state| state.network.encrypted) else { continue };
        if reservations(&network)?.is_empty() {
            publication::remove_state(places, &network)?;
        } else {
            say(&format!("network {network} stays: containers have addresses of it"));
            kept.extend(state.network.subnets.iter().map(overlay::Subnet::network));
        }
    }
    if kept.is_empty() {
        kernel.stop_encrypting()?;
    }
    Ok(kept)
}
