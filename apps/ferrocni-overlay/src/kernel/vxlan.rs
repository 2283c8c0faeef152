//! A network's VXLAN device, and the ways through it: for each host a forwarding entry, for each of its blocks a neighbour (the block's
//! first address, which the host's device has) and a route by way of that.
//!
//! The device learns nothing and has no default entry, so nothing can be flooded or led astray by what comes in. A route of the worst
//! metric makes the rest of the subnet unreachable, so that what is for nobody does not leave by the default route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cni::NetworkName;
use ip::Family;
use ipnetwork::IpNetwork;
use netlink::{
    AddressSpec, Batch, Forwarding, Link, LinkChange, LinkKind, Mac, Neighbour, NewLink, Route, RouteType, Socket,
    if_found, table,
};
use overlay::{HostId, Network, mtu};

use crate::Error;
use crate::underlay::Found;
use crate::view::{NetworkView, View};

/// The number by which routes are known as the agent's (`rtm_protocol`); see /etc/iproute2/rt_protos for those of others.
const PROTOCOL: u8 = 142;
/// As many requests are sent to the kernel at once: some ten kilobytes.
const CHUNK: usize = 400;

/// What a network wants in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    device: Device,
    entries: BTreeSet<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    name: String,
    label: String,
    kind: LinkKind,
    mac: Mac,
    mtu: u32,
}

/// What the kernel is told about a network, in the order in which it is told: an entry is there before what needs it. Unreachable is
/// first, so that at no time anything leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Unreachable(IpNetwork),
    Address(IpAddr),
    Forwarding(Mac, IpAddr),
    Neighbour(IpAddr, Mac),
    Route(Way),
}

/// A route by way of another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    to: IpNetwork,
    via: IpAddr,
    /// If that host's packets are smaller than ours.
    mtu: Option<u32>,
}

/// What was programmed, on the device with that index.
#[derive(Debug)]
pub(crate) struct Programmed {
    index: u32,
    pub(super) wanted: Wanted,
}

/// A device's label; no attachment's label has one word only.
fn label(network: &NetworkName) -> String {
    format!("{}overlay:{network}", suite::PREFIX)
}

/// This host, as a network sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) id: &'a HostId,
    pub(crate) underlay: &'a Found,
    pub(crate) local: IpAddr,
    pub(crate) port: u16,
}

impl Wanted {
    /// What follows from what is known. A host that cannot be reached is in `unreached`.
    pub(crate) fn of(
        name: &NetworkName,
        network: &Network,
        of_network: &NetworkView,
        view: &View,
        here: &Here<'_>,
        unreached: &mut BTreeSet<HostId>,
    ) -> Self {
        let kind = LinkKind::Vxlan { vni: network.vni.number(), port: here.port, local: here.local };
        let device = Device {
            name: network.vni.device(),
            label: label(name),
            kind,
            mac: network.vni.mac_of(here.id),
            mtu: inner_mtu(here.underlay.mtu, network, here.local),
        };
        let subnets = network.subnets.iter().map(overlay::Subnet::network);
        let mut entries: BTreeSet<Entry> = subnets.map(Entry::Unreachable).collect();
        let mut peers: BTreeMap<&HostId, Option<Peer>> = BTreeMap::new();
        for (block, owner) in of_network.blocks() {
            if owner.value == *here.id {
                entries.insert(Entry::Address(block.first()));
                continue;
            }
            let peer = *peers.entry(&owner.value).or_insert_with(|| Peer::of(&owner.value, network, view, here));
            let Some(peer) = peer else {
                unreached.insert(owner.value.clone());
                continue;
            };
            entries.insert(Entry::Forwarding(peer.mac, peer.address));
            entries.insert(Entry::Neighbour(block.first(), peer.mac));
            entries.insert(Entry::Route(Way { to: block.network(), via: block.first(), mtu: peer.mtu }));
        }
        for (address, _, claim) in of_network.addresses() {
            let owner = &claim.value.host;
            let same_family = |block: &overlay::Block| block.is_ipv4() == address.is_ipv4();
            let via = of_network.blocks_of(owner).find(same_family).filter(|_| claim.value.granted && owner != here.id);
            if let (Some(via), Some(Some(peer))) = (via, peers.get(owner)) {
                entries.insert(Entry::Route(Way { to: IpNetwork::from(address), via: via.first(), mtu: peer.mtu }));
            }
        }
        Self { device, entries }
    }
}

/// Another host with a block.
#[derive(Debug, Clone, Copy)]
struct Peer {
    mac: Mac,
    address: IpAddr,
    mtu: Option<u32>,
}

impl Peer {
    fn of(id: &HostId, network: &Network, view: &View, here: &Here<'_>) -> Option<Self> {
        let host = view.hosts.get(id)?;
        let address = host.reached_from(here.local)?;
        let is_smaller = host.mtu < here.underlay.mtu;
        let mtu = is_smaller.then(|| inner_mtu(host.mtu, network, here.local));
        Some(Self { mac: network.vni.mac_of(id), address, mtu })
    }
}

/// How large a network's packets can be on a host whose link carries so much.
pub(crate) fn inner_mtu(outer: u32, network: &Network, local: IpAddr) -> u32 {
    let room = outer.saturating_sub(mtu::vxlan_overhead(local));
    network.mtu.map_or(room, |wanted| wanted.min(room))
}

/// Has the kernel be as it is wanted. What it is now is read, unless it is known.
pub(crate) fn program(host: &mut Socket, known: Option<Programmed>, wanted: Wanted) -> Result<Programmed, Error> {
    let (index, now) = match known {
        Some(Programmed { index, wanted: now }) if now.device == wanted.device => (index, now.entries),
        _ => {
            let link = device(host, &wanted.device)?;
            (link.index, read(host, link.index, &wanted)?)
        }
    };
    change(host, index, &now, &wanted.entries)?;
    Ok(Programmed { index, wanted })
}

/// How much is not as it is wanted.
pub(super) fn differences(host: &mut Socket, wanted: &Wanted) -> Result<u64, Error> {
    let Some(link) = if_found(host.link(wanted.device.name.as_str()))? else { return Ok(1) };
    if !wanted.device.is(&link) {
        return Ok(1);
    }
    let found = read(host, link.index, wanted)?;
    Ok(found.symmetric_difference(&wanted.entries).count() as u64)
}

/// Removes the device and the routes that do not go with it.
pub(crate) fn remove(host: &mut Socket, network: &NetworkName, name: &str) -> Result<(), Error> {
    if let Some(link) = if_found(host.link(name))?
        && link.alias.as_deref() == Some(&label(network))
    {
        if_found(host.delete_link(link.index))?;
    }
    Ok(())
}

/// Removes the routes to nowhere of subnets that are no network's any more.
pub(crate) fn remove_unreachable(host: &mut Socket, keep: &BTreeSet<IpNetwork>) -> Result<(), Error> {
    for family in Family::ALL {
        for route in host.routes(family, None, table::MAIN)? {
            let is_ours = route.protocol == Some(PROTOCOL) && route.kind == RouteType::Unreachable;
            if is_ours && !keep.contains(&route.destination) {
                if_found(host.delete_route(&unreachable(route.destination)))?;
            }
        }
    }
    Ok(())
}

/// The networks that have a device here, with the devices' names.
pub(super) fn devices(host: &mut Socket) -> Result<BTreeMap<NetworkName, String>, Error> {
    let prefix = format!("{}overlay:", suite::PREFIX);
    let network = |link: Link| Some((NetworkName::new(link.alias?.strip_prefix(&prefix)?).ok()?, link.name));
    let vxlans = host.links()?.into_iter().filter(|link| link.kind.as_deref() == Some("vxlan"));
    Ok(vxlans.filter_map(network).collect())
}

impl Device {
    fn is(&self, link: &Link) -> bool {
        link.options == Some(self.kind) && link.mac == Some(self.mac) && link.mtu == self.mtu && link.up
    }
}

/// The device as it is wanted; made anew if it is there with other options, which cannot be changed.
fn device(host: &mut Socket, wanted: &Device) -> Result<Link, Error> {
    if let Some(link) = if_found(host.link(wanted.name.as_str()))? {
        if link.alias.as_deref() != Some(&*wanted.label) {
            return Err(Error::Refused(format!(
                "there is a link {} that is not the agent's: rename it, or remove it",
                wanted.name
            )));
        }
        if wanted.is(&link) {
            return Ok(link);
        }
        if link.options == Some(wanted.kind) && link.mac == Some(wanted.mac) {
            let change = LinkChange { mtu: Some(wanted.mtu), up: Some(true), ..LinkChange::default() };
            return Ok(host.change_and_read(link.index, &change)?);
        }
        if_found(host.delete_link(link.index))?;
    }
    make(host, wanted)
}

/// The address comes at creation, or udev would choose another; what concerns IPv6, before it is up.
fn make(host: &mut Socket, wanted: &Device) -> Result<Link, Error> {
    let new = NewLink { mac: Some(wanted.mac), mtu: Some(wanted.mtu), ..NewLink::new(&wanted.name, wanted.kind) };
    let link = host.create_link(&new)?;
    let finished = finish(host, &link, wanted);
    if finished.is_err() {
        // By index, so it can only be the link of a moment ago.
        let _ = host.delete_link(link.index);
    }
    finished
}

fn finish(host: &mut Socket, link: &Link, wanted: &Device) -> Result<Link, Error> {
    let quiet = LinkChange { ipv6_link_local: Some(false), ..LinkChange::default() };
    match host.change_link(link.index, &quiet) {
        // A host without IPv6 has nothing to forgo.
        Err(error) if error.errno() == Some(nix::libc::EAFNOSUPPORT) => {}
        outcome => outcome?,
    }
    sysctl::refuse_router_advertisements(&wanted.name)?;
    let change = LinkChange { alias: Some(&wanted.label), up: Some(true), ..LinkChange::default() };
    Ok(host.change_and_read(link.index, &change)?)
}

/// What the kernel has of what the agent could have told it.
fn read(host: &mut Socket, index: u32, wanted: &Wanted) -> Result<BTreeSet<Entry>, Error> {
    let mut entries = BTreeSet::new();
    entries.extend(host.addresses(index)?.into_iter().map(|address| Entry::Address(address.network.ip())));
    entries.extend(host.forwarding_entries(index)?.into_iter().map(|entry| Entry::Forwarding(entry.mac, entry.host)));
    entries
        .extend(host.permanent_neighbours(index)?.into_iter().map(|entry| Entry::Neighbour(entry.address, entry.mac)));
    for family in Family::ALL {
        let routes = host.routes(family, None, table::MAIN)?;
        let entry = |route: Route| match route {
            Route { link, gateway: Some(via), destination: to, mtu, .. } if link == Some(index) => {
                Some(Entry::Route(Way { to, via, mtu }))
            }
            Route { kind: RouteType::Unreachable, protocol: Some(PROTOCOL), destination, .. } => {
                Some(Entry::Unreachable(destination)).filter(|entry| wanted.entries.contains(entry))
            }
            _ => None,
        };
        entries.extend(routes.into_iter().filter_map(entry));
    }
    Ok(entries)
}

/// What there can be only one of is replaced, not removed first: packets always find one.
fn change(host: &mut Socket, link: u32, now: &BTreeSet<Entry>, wanted: &BTreeSet<Entry>) -> Result<(), Error> {
    let new: Vec<_> = wanted.difference(now).collect();
    let replaced: BTreeSet<Place> = new.iter().map(|entry| entry.place()).collect();
    let gone: Vec<_> = now.difference(wanted).filter(|entry| !replaced.contains(&entry.place())).collect();
    let added = send(host, &new, |entry, batch| entry.add(link, batch));
    let removed =
        gone.iter().rev().try_for_each(|entry| match send(host, &[entry], |entry, batch| entry.remove(link, batch)) {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome,
        });
    Ok(added.and(removed)?)
}

/// Some at a time; all are tried, and the first refusal is told.
fn send(host: &mut Socket, entries: &[&Entry], push: impl Fn(&Entry, &mut Batch<'_>)) -> netlink::Result<()> {
    let mut outcome = Ok(());
    for chunk in entries.chunks(CHUNK) {
        let mut batch = host.batch();
        chunk.iter().for_each(|entry| push(entry, &mut batch));
        outcome = outcome.and(batch.send());
    }
    outcome
}

/// Where the kernel keeps an entry: a second one with the same place replaces it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Unreachable(IpNetwork),
    Address(IpAddr),
    Forwarding(Mac),
    Neighbour(IpAddr),
    Route(IpNetwork),
}

impl Entry {
    fn place(&self) -> Place {
        match *self {
            Self::Unreachable(subnet) => Place::Unreachable(subnet),
            Self::Address(address) => Place::Address(address),
            Self::Forwarding(mac, _) => Place::Forwarding(mac),
            Self::Neighbour(address, _) => Place::Neighbour(address),
            Self::Route(way) => Place::Route(way.to),
        }
    }

    fn add(&self, link: u32, batch: &mut Batch<'_>) {
        match *self {
            Self::Unreachable(subnet) => batch.replace_route(&unreachable(subnet)),
            Self::Address(address) => {
                let alone = AddressSpec::new(link, IpNetwork::from(address));
                batch.ensure_address(&AddressSpec { prefix_route: false, ..alone })
            }
            Self::Forwarding(mac, host) => batch.set_forwarding(&Forwarding { link, mac, host }),
            Self::Neighbour(address, mac) => batch.set_neighbour(&Neighbour { link, address, mac }),
            Self::Route(way) => batch.replace_route(&way.route(link)),
        };
    }

    fn remove(&self, link: u32, batch: &mut Batch<'_>) {
        match *self {
            Self::Unreachable(subnet) => batch.delete_route(&unreachable(subnet)),
            Self::Address(address) => batch.delete_address(link, IpNetwork::from(address)),
            Self::Forwarding(mac, host) => batch.delete_forwarding(&Forwarding { link, mac, host }),
            Self::Neighbour(address, mac) => batch.delete_neighbour(&Neighbour { link, address, mac }),
            Self::Route(way) => batch.delete_route(&way.route(link)),
        };
    }
}

impl Way {
    fn route(self, link: u32) -> Route {
        let Self { to, via, mtu } = self;
        Route { gateway: Some(via), link: Some(link), mtu, onlink: true, protocol: Some(PROTOCOL), ..Route::new(to) }
    }
}

fn unreachable(subnet: IpNetwork) -> Route {
    Route { kind: RouteType::Unreachable, priority: Some(u32::MAX), protocol: Some(PROTOCOL), ..Route::new(subnet) }
}
