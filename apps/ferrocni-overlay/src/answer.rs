//! What plugins and the command ask.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use cni::NetworkName;
use ipnetwork::IpNetwork;
use netlink::{RouteType, Socket, table};
use overlay::ingress::{Port, Share};
use overlay::{
    Asked, Claim, Described, HolderOfBlock, HostId, Key, KnownHost, Network, Reply, Request, State, Subnet, Vni,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Error;
use crate::agent::Agent;
use crate::ingress::numbers_of;
use crate::joined::{Joined, catch_up, reservations};
use crate::ledger::{read_by, revision};
use crate::server::Question;
use crate::session::Wish;
use crate::transactions;
use crate::view::View;

/// How long the owner of a block may take to grant an address of it.
const GRANT_WITHIN: Duration = Duration::from_secs(5);
/// When nothing is waited for.
const LATER: Duration = Duration::from_secs(3600);
/// How often a network is created anew because others created some meanwhile.
const ATTEMPTS: usize = 20;

/// A plugin that waits for another host's answer.
#[derive(Debug)]
pub(crate) struct Pending {
    network: NetworkName,
    address: IpAddr,
    until: Instant,
    owner: HostId,
    reply: oneshot::Sender<Reply>,
}

impl Agent {
    pub(crate) async fn answer(&mut self, question: Question) {
        let Question { request, reply } = question;
        let outcome = match request {
            Request::Claim { network, address, container, interface } => {
                let claim = Claim { host: self.id.clone(), container, interface, granted: false };
                match self.claim_address(&network, address, claim).await {
                    Ok(Some(owner)) => {
                        let until = Instant::now() + GRANT_WITHIN;
                        self.pending.push(Pending { network, address, until, owner, reply });
                        return;
                    }
                    Ok(None) => self.state(&network),
                    Err(error) => Err(error),
                }
            }
            request => self.simple(request).await,
        };
        // Who has asked may have gone.
        let _ = reply.send(outcome.unwrap_or_else(|error| failed(&error)));
    }

    async fn simple(&mut self, request: Request) -> Result<Reply, Error> {
        match request {
            Request::Join(network) => self.join(&network).await,
            Request::Grow { network, ipv4 } => self.grow(&network, ipv4).await,
            Request::Publish { network, ports } => self.publish_now(&network, &ports).await.map(|()| Reply::Done),
            Request::Changed(network) => {
                self.changed.insert(network);
                Ok(Reply::Done)
            }
            Request::Compare => {
                self.compare().await;
                self.settle().await;
                Ok(Reply::Done)
            }
            Request::Create(asked) => self.create(&asked).await.map(Reply::Created),
            Request::Remove(network) => self.remove(&network).await.map(|()| Reply::Done),
            Request::Networks => self.networks().await.map(Reply::Networks),
            Request::Describe(network) => self.describe(&network).await.map(Reply::Described),
            Request::Hosts => self.hosts().await.map(Reply::Hosts),
            Request::RemoveHost(host) => self.remove_host(&host).await.map(|()| Reply::Done),
            Request::Probe(network) => self.probe(&network).await.map(|()| Reply::Done),
            Request::Claim { .. } => Ok(Reply::Done),
        }
    }

    /// Tells other hosts of ports that a container here publishes on all of them. It is told by now, or never.
    async fn publish_now(&mut self, name: &NetworkName, ports: &[Port]) -> Result<(), Error> {
        self.etcd()?;
        // Hosts that cannot be reached, and what this one does not answer itself, are no reason not to tell the others.
        let unless_refused = |outcome| if matches!(outcome, Err(Error::Refused(_))) { Ok(()) } else { outcome };
        unless_refused(self.settle_network(name).await)?;
        let settled = self.settle_ingress().await;
        match self.refused(name, ports) {
            Some(reason) => Err(Error::Refused(reason.clone())),
            None => unless_refused(settled),
        }
    }

    /// Whether this host could join a network, if that is there.
    async fn probe(&mut self, name: &NetworkName) -> Result<(), Error> {
        let network = match self.look_at(name).await {
            Err(Error::NoNetwork(_)) => return Ok(()),
            network => network?,
        };
        if network.encrypted && !self.kernel.can_encrypt()? {
            return Err(Error::NoWireGuard);
        }
        Ok(())
    }

    fn state(&self, name: &NetworkName) -> Result<Reply, Error> {
        let state = self.joined.get(name).and_then(|joined| joined.state.clone());
        state.map(Reply::State).ok_or_else(|| Error::NoNetwork(name.clone()))
    }

    /// Sees that this host is in a network, and has addresses of each of its subnets.
    async fn join(&mut self, name: &NetworkName) -> Result<Reply, Error> {
        if self.joined.get(name).and_then(|joined| joined.state.as_ref()).is_some_and(State::is_complete) {
            return self.state(name);
        }
        let network = self.look_at(name).await?;
        if network.encrypted {
            // Others have to know the key before there is anything to send.
            self.encrypt()?;
            self.beat().await;
        }
        catch_up(name)?;
        if !self.joined.contains_key(name) {
            self.joined.insert(name.clone(), Joined::default());
            self.session.wish(Wish::Watch(name.clone()));
        }
        for subnet in &network.subnets {
            let (of_network, _) = self.view.network(name).ok_or_else(|| Error::NoNetwork(name.clone()))?;
            if !of_network.blocks_of(&self.id).any(|block| subnet.has(block)) {
                self.claim_block(name, subnet).await?;
            }
        }
        self.follow(name)
    }

    /// Reads a network that this host may not have joined.
    async fn look_at(&mut self, name: &NetworkName) -> Result<Network, Error> {
        let etcd = self.etcd()?;
        let listing = etcd.list(&Key::of_network(name), None).await?;
        // What is known of a network that was joined is later than this, or the same.
        if !self.joined.contains_key(name) {
            self.view.forget(name);
            for change in &listing.changes {
                self.view.apply(change);
            }
        }
        match self.view.network(name) {
            Some((_, known)) => Ok(known.value.clone()),
            None => {
                self.view.forget(name);
                Err(Error::NoNetwork(name.clone()))
            }
        }
    }

    /// Has plugins and the kernel follow at once: who has asked goes by it.
    fn follow(&mut self, name: &NetworkName) -> Result<Reply, Error> {
        self.tell_plugins(name, &reservations(name)?)?;
        self.dirty.insert(name.clone());
        self.program(name)?;
        self.state(name)
    }

    /// Another block, unless another plugin got one a moment ago.
    async fn grow(&mut self, name: &NetworkName, ipv4: bool) -> Result<Reply, Error> {
        let Some(state) = self.joined.get(name).and_then(|joined| joined.state.clone()) else {
            return self.join(name).await;
        };
        let subnet = *state.network.subnet_of(ipv4).ok_or_else(|| Error::NoNetwork(name.clone()))?;
        if Joined::free(&state, &subnet, &reservations(name)?) == 0 {
            self.claim_block(name, &subnet).await?;
        }
        self.follow(name)
    }

    /// Claims an address outside the own blocks; the owner of its block if that has to agree.
    async fn claim_address(
        &mut self,
        name: &NetworkName,
        address: IpAddr,
        claim: Claim,
    ) -> Result<Option<HostId>, Error> {
        self.join(name).await?;
        let (of_network, known) = self.view.network(name).ok_or_else(|| Error::NoNetwork(name.clone()))?;
        let subnet = known.value.subnets.iter().find(|subnet| subnet.offers(address));
        let block = subnet.and_then(|subnet| subnet.block_of(address));
        let Some(block) = block else {
            return Err(Error::Refused(format!("{address} is no address for a container of network {name}")));
        };
        let owner = of_network.owner_of(block).cloned();
        if owner.as_ref().is_some_and(|owner| owner.value == self.id) {
            return Ok(None);
        }
        let (key, of_block) = (Key::Address(name.clone(), block, address), Key::Block(name.clone(), block));
        let claim = Claim { granted: owner.is_none(), ..claim };
        let answer = self
            .transact("claim an address", transactions::claim_address(&key, &of_block, owner.as_ref(), &claim))
            .await?;
        if !answer.succeeded() {
            return Err(Error::Refused(format!("{address} of network {name} is taken by a container of another host")));
        }
        self.note(&key, Some(&claim), revision(&answer));
        self.follow(name)?;
        Ok(owner.map(|owner| owner.value))
    }

    /// When somebody has waited long enough, or something is to be tried again.
    pub(crate) fn next_deadline(&self) -> Instant {
        let waiting = self.pending.iter().map(|pending| pending.until).chain(self.ingress.again);
        waiting.min().unwrap_or_else(|| Instant::now() + LATER)
    }

    /// Answers those who wait for another host, as far as it has decided or time is over.
    pub(crate) fn answer_pending(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            let of_network = self.view.networks.get(&pending.network);
            let claim = of_network.and_then(|of_network| of_network.claim_of(pending.address));
            let claim = claim.map(|claim| claim.value.clone());
            let Pending { network, address, until, owner, reply } = pending;
            let refused = |message| Ok(Reply::Failed { message, temporary: false });
            let outcome = match claim {
                Some(claim) if claim.host == self.id && claim.granted => self.state(&network),
                Some(claim) if claim.host == self.id && until > Instant::now() => {
                    self.pending.push(Pending { network, address, until, owner, reply });
                    continue;
                }
                Some(claim) if claim.host == self.id => {
                    self.dirty.insert(network.clone());
                    Ok(Reply::Failed {
                        message: format!("{address} is in a block of host {owner}, which does not answer"),
                        temporary: true,
                    })
                }
                _ => refused(format!("{address} of network {network} is taken by a container of host {owner}")),
            };
            let _ = reply.send(outcome.unwrap_or_else(|error| failed(&error)));
        }
    }

    async fn create(&mut self, asked: &Asked) -> Result<Network, Error> {
        for _ in 0..ATTEMPTS {
            let etcd = self.etcd()?;
            let mut taken = Taken::default();
            let vnis = etcd.list(&Key::all("vni"), None).await?;
            let subnets = etcd.list(&Key::all("subnets"), Some(vnis.revision)).await?;
            let created = etcd.list(&Key::Created.to_string(), Some(vnis.revision)).await?;
            for change in vnis.changes.iter().chain(&subnets.changes) {
                taken.note(change);
            }
            if taken.names.contains_key(&asked.name) {
                return Err(Error::Refused(format!(
                    "there is an overlay network {} already: choose another name",
                    asked.name
                )));
            }
            let network = self.plan(asked, &taken)?;
            let revision = created.changes.first().map_or(0, |change| change.revision);
            let answer =
                self.transact("create a network", transactions::create_network(asked, &network, revision)).await?;
            if answer.succeeded() {
                return Ok(network);
            }
        }
        Err(Error::Contended(asked.name.clone()))
    }

    fn plan(&self, asked: &Asked, taken: &Taken) -> Result<Network, Error> {
        let vni = taken.free_vni().ok_or_else(|| Error::Refused("there is no VXLAN identifier left".to_owned()))?;
        let mut subnets = asked.subnets.clone();
        for subnet in &subnets {
            self.check_subnet(subnet, taken)?;
        }
        if !subnets.iter().any(Subnet::is_ipv4) && (subnets.is_empty() || asked.ipv6) {
            subnets.push(taken.free_ipv4(&routes()?)?);
        }
        if asked.ipv6 && subnets.iter().all(Subnet::is_ipv4) {
            subnets.push(taken.free_ipv6(asked, vni)?);
        }
        subnets.sort_by_key(|subnet| !subnet.is_ipv4());
        let Asked { encrypted, internal, mtu, labels, options, created, .. } = asked.clone();
        Ok(Network { vni, subnets, encrypted, internal, mtu, labels, options, created })
    }

    fn check_subnet(&self, subnet: &Subnet, taken: &Taken) -> Result<(), Error> {
        if let Some((other, name)) = taken.subnets.iter().find(|(other, _)| subnet.overlaps(**other)) {
            return Err(Error::Refused(format!(
                "subnet {} overlaps {other} of overlay network {name}",
                subnet.network()
            )));
        }
        let hosts =
            self.view.hosts.values().flat_map(|host| host.underlay.iter().map(move |address| (address, &host.name)));
        match hosts.into_iter().find(|(address, _)| subnet.network().contains(**address)) {
            Some((address, host)) => Err(Error::Refused(format!(
                "subnet {} contains {address}, where host {host} is reached",
                subnet.network()
            ))),
            None => Ok(()),
        }
    }

    async fn remove(&mut self, name: &NetworkName) -> Result<(), Error> {
        let view = self.read_network(name).await?;
        let (_, known) = view.network(name).ok_or_else(|| Error::NoNetwork(name.clone()))?;
        let local = reservations(name)?;
        if let Some(attachment) = local.values().next() {
            return Err(in_use(name, attachment.container.as_str(), "this host"));
        }
        let answer = self.transact("remove a network", transactions::remove_network(name, known)).await?;
        if answer.succeeded() {
            return Ok(());
        }
        match read_by(&answer).next().map(|change| Key::parse(&change.key)) {
            Some(Ok(Key::Endpoint(host, attachment))) => {
                let host = self.view.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.clone());
                Err(in_use(name, attachment.container.as_str(), &host))
            }
            _ => Err(Error::Contended(name.clone())),
        }
    }

    /// All that etcd has of a network.
    async fn read_network(&mut self, name: &NetworkName) -> Result<View, Error> {
        let etcd = self.etcd()?;
        let mut view = View::default();
        for change in etcd.list(&Key::of_network(name), None).await?.changes {
            view.apply(&change);
        }
        Ok(view)
    }

    async fn names(&mut self) -> Result<Vec<NetworkName>, Error> {
        let etcd = self.etcd()?;
        let mut taken = Taken::default();
        etcd.list(&Key::all("vni"), None).await?.changes.iter().for_each(|change| taken.note(change));
        Ok(taken.names.into_keys().collect())
    }

    async fn networks(&mut self) -> Result<BTreeMap<NetworkName, Network>, Error> {
        let mut networks = BTreeMap::new();
        for name in self.names().await? {
            let view = self.read_network(&name).await?;
            networks.extend(view.network(&name).map(|(_, known)| (name.clone(), known.value.clone())));
        }
        Ok(networks)
    }

    async fn describe(&mut self, name: &NetworkName) -> Result<Described, Error> {
        let view = self.read_network(name).await?;
        let (of_network, known) = view.network(name).ok_or_else(|| Error::NoNetwork(name.clone()))?;
        let mut endpoints: BTreeMap<HostId, BTreeMap<_, _>> = BTreeMap::new();
        for (host, attachment, endpoint) in of_network.endpoints() {
            let name = format!("{}:{}", attachment.container, attachment.ifname);
            endpoints.entry(host.clone()).or_default().insert(name, endpoint.clone());
        }
        Ok(Described {
            network: known.value.clone(),
            blocks: of_network
                .blocks()
                .map(|(block, owner)| HolderOfBlock { block, host: owner.value.clone() })
                .collect(),
            claims: of_network.addresses().map(|(address, _, claim)| (address, claim.value.clone())).collect(),
            endpoints,
            ports: self.ports_of(name),
            hosts: self.view.hosts.iter().map(|(id, host)| (id.clone(), host.name.clone())).collect(),
        })
    }

    fn ports_of(&self, name: &NetworkName) -> BTreeMap<String, BTreeMap<HostId, Share>> {
        let mut ports: BTreeMap<String, BTreeMap<HostId, Share>> = BTreeMap::new();
        for ((port, _, host), share) in self.view.ingress.iter().filter(|((_, network, _), _)| network == name) {
            ports.entry(port.to_string()).or_default().insert(host.clone(), *share);
        }
        ports
    }

    async fn hosts(&mut self) -> Result<Vec<KnownHost>, Error> {
        let known = self.view.hosts.iter().map(|(id, host)| {
            let (alive, here) = (self.view.alive.contains(id), *id == self.id);
            (id.clone(), KnownHost { id: id.clone(), host: Some(host.clone()), alive, here, blocks: BTreeMap::new() })
        });
        let mut hosts: BTreeMap<_, _> = known.collect();
        for name in self.names().await? {
            let view = self.read_network(&name).await?;
            let Some((of_network, _)) = view.network(&name) else { continue };
            for (block, owner) in of_network.blocks() {
                let unknown = || KnownHost {
                    id: owner.value.clone(),
                    host: None,
                    alive: false,
                    here: false,
                    blocks: BTreeMap::new(),
                };
                let host = hosts.entry(owner.value.clone()).or_insert_with(unknown);
                host.blocks.entry(name.clone()).or_default().push(block);
            }
        }
        Ok(hosts.into_values().collect())
    }

    /// Forgets a host that gives no sign of life, and takes back what is its own.
    pub(crate) async fn remove_host(&mut self, host: &HostId) -> Result<(), Error> {
        let alive = || Error::Refused(format!("host {host} is alive: stop its agent first, and wait a minute"));
        if *host == self.id {
            return Err(alive());
        }
        for name in self.names().await? {
            let view = self.read_network(&name).await?;
            let Some((of_network, _)) = view.network(&name) else { continue };
            for (block, owner) in of_network.blocks().filter(|(_, owner)| owner.value == *host) {
                let answer = self.transact("take a block back", transactions::take_block(&name, block, owner)).await?;
                if !answer.succeeded() {
                    return Err(alive());
                }
            }
            for (address, block, claim) in of_network.addresses().filter(|(_, _, claim)| claim.value.host == *host) {
                let key = Key::Address(name.clone(), block, address);
                self.transact("take an address back", transactions::answer_claim(&key, claim, false)).await?;
            }
        }
        let numbers = numbers_of(self.etcd()?, host).await?;
        let answer = self.transact("forget a host", transactions::remove_host(host, &numbers)).await?;
        if answer.succeeded() { Ok(()) } else { Err(alive()) }
    }
}

fn in_use(name: &NetworkName, container: &str, host: &str) -> Error {
    Error::Refused(format!("network {name} is in use: container {container} on {host} is attached to it"))
}

fn failed(error: &Error) -> Reply {
    Reply::Failed { message: crate::log::line(error), temporary: error.is_temporary() }
}

/// What networks have already.
#[derive(Debug, Default)]
struct Taken {
    names: BTreeMap<NetworkName, Vni>,
    subnets: BTreeMap<IpNetwork, String>,
}

impl Taken {
    /// Nonsense takes nothing.
    fn note(&mut self, change: &crate::view::Change) {
        let Some(value) = &change.value else { return };
        let name = overlay::key::value::<NetworkName>(&change.key, value);
        match (Key::parse(&change.key), name) {
            (Ok(Key::Vni(vni)), Ok(name)) => drop(self.names.insert(name, vni)),
            (Ok(Key::Subnet(subnet)), Ok(name)) => drop(self.subnets.insert(subnet.network(), name.to_string())),
            _ => {}
        }
    }

    /// The lowest that nobody has.
    fn free_vni(&self) -> Option<Vni> {
        let taken: std::collections::BTreeSet<_> = self.names.values().copied().collect();
        std::iter::successors(Some(Vni::FIRST), |vni| vni.next()).find(|vni| !taken.contains(vni))
    }

    fn is_free(&self, subnet: &Subnet) -> bool {
        !self.subnets.keys().any(|other| subnet.overlaps(*other))
    }

    /// The first /16 from 10.128.0.0 on that no network has, and to which this host has no other way.
    fn free_ipv4(&self, routes: &[IpNetwork]) -> Result<Subnet, Error> {
        let candidates = (128..=255_u8).filter_map(|second| {
            let network = IpNetwork::new(std::net::Ipv4Addr::new(10, second, 0, 0).into(), 16).ok()?;
            Subnet::new(network).ok()
        });
        let mut free =
            candidates.filter(|subnet| self.is_free(subnet) && !routes.iter().any(|route| subnet.overlaps(*route)));
        free.next().ok_or_else(|| Error::Refused("10.128.0.0/9 has no subnet left: name one with --subnet".to_owned()))
    }

    /// A /64 of a prefix that nobody else has (RFC 4193), made of the network's name and number.
    fn free_ipv6(&self, asked: &Asked, vni: Vni) -> Result<Subnet, Error> {
        let address = vni.local_ipv6(&format!("{} {}", asked.name, asked.created));
        let subnet = IpNetwork::new(address.into(), 64).map_err(|error| error.to_string()).and_then(Subnet::new);
        let subnet = subnet.map_err(Error::Refused)?;
        if self.is_free(&subnet) {
            Ok(subnet)
        } else {
            Err(Error::Refused("name an IPv6 subnet with --subnet".to_owned()))
        }
    }
}

/// Where this host has ways to already, the default route and networks of the agent's apart.
fn routes() -> Result<Vec<IpNetwork>, Error> {
    let routes = Socket::open()?.routes(netlink::Family::V4, None, table::MAIN)?;
    let others = routes.into_iter().filter(|route| !route.is_default() && route.kind != RouteType::Unreachable);
    Ok(others.map(|route| route.destination).collect())
}
