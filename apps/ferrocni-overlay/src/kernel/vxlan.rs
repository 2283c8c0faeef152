//! A network's VXLAN device, and the ways through it: for each host a forwarding entry, for each of its blocks a neighbour (the block's
//! first address, which the host's device has) and a route by way of that.
//!
//! The device learns nothing and has no default entry, so nothing can be flooded or led astray by what comes in. A route of the worst
//! metric makes the rest of the subnet unreachable, so that what is for nobody does not leave by the default route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cni::NetworkName;
use ipnetwork::IpNetwork;
use netlink::{Link, LinkChange, LinkKind, Mac, NewLink, Socket, if_found};
use overlay::{HostId, Network, mtu};

use super::ways::{self, Entry, Way};
use crate::Error;
use crate::underlay::Found;
use crate::view::{NetworkView, View};

/// What a network wants in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(super) device: Device,
    /// Whoever else is in the network.
    always: BTreeSet<Entry>,
    /// For each host with blocks or addresses of the network, this one among them; none for one that cannot be reached.
    of_hosts: BTreeMap<HostId, Option<BTreeSet<Entry>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: LinkKind,
    pub(super) mac: Mac,
    pub(super) mtu: u32,
}

/// What was programmed, on the device with that index.
#[derive(Debug)]
pub(crate) struct Programmed {
    pub(super) index: u32,
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

/// A network with what is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a NetworkName,
    pub(crate) network: &'a Network,
    pub(crate) of_network: &'a NetworkView,
    pub(crate) view: &'a View,
    pub(crate) here: &'a Here<'a>,
}

impl Seen<'_> {
    fn device(&self) -> Device {
        let Self { network, here, .. } = self;
        Device {
            name: network.vni.device(),
            label: label(self.name),
            kind: LinkKind::Vxlan { vni: network.vni.number(), port: here.port, local: here.local },
            mac: network.vni.mac_of(here.id),
            mtu: inner_mtu(here.underlay.mtu, network, here.local),
        }
    }

    /// What a host's blocks and addresses want; `None` if it cannot be reached.
    fn entries_of(&self, id: &HostId) -> Option<BTreeSet<Entry>> {
        let blocks = || self.of_network.reached_of(id, self.view);
        if id == self.here.id {
            return Some(blocks().map(|block| Entry::Address(block.first())).collect());
        }
        let mut entries = BTreeSet::new();
        if blocks().next().is_none() {
            return Some(entries);
        }
        let peer = Peer::of(id, self)?;
        entries.insert(Entry::Forwarding(peer.mac, peer.address));
        for block in blocks() {
            entries.insert(Entry::Neighbour(block.first(), peer.mac));
            entries.insert(Entry::Route(Way { to: block.network(), via: Some(block.first()), mtu: peer.mtu }));
        }
        for (address, _, _) in self.of_network.addresses_of(id).filter(|(_, _, claim)| claim.value.granted) {
            if let Some(via) = blocks().find(|block| block.is_ipv4() == address.is_ipv4()) {
                let to = IpNetwork::from(address);
                entries.insert(Entry::Route(Way { to, via: Some(via.first()), mtu: peer.mtu }));
            }
        }
        Some(entries)
    }
}

impl Wanted {
    /// What follows from what is known.
    pub(crate) fn of(network: &Seen<'_>) -> Self {
        let always = network.network.subnets.iter().map(|subnet| Entry::Unreachable(subnet.network()));
        let of_hosts = network.of_network.holders().map(|host| (host.clone(), network.entries_of(host)));
        Self { device: network.device(), always: always.collect(), of_hosts: of_hosts.collect() }
    }

    /// These, whoever else is there.
    pub(super) fn always(device: Device, entries: BTreeSet<Entry>) -> Self {
        Self { device, always: entries, of_hosts: BTreeMap::new() }
    }

    pub(super) fn entries(&self) -> BTreeSet<Entry> {
        self.of_hosts.values().flatten().flatten().chain(&self.always).copied().collect()
    }

    /// How many hosts cannot be reached, and one of them.
    pub(super) fn unreached(&self) -> Option<(usize, HostId)> {
        let mut unreached = self.of_hosts.iter().filter(|(_, entries)| entries.is_none()).map(|(host, _)| host);
        let first = unreached.next()?.clone();
        Some((1 + unreached.count(), first))
    }
}

impl Programmed {
    /// Has the kernel follow what these hosts have now. On failure nobody knows what it has.
    pub(super) fn lead_to(
        &mut self,
        host: &mut Socket,
        network: &Seen<'_>,
        hosts: &BTreeSet<HostId>,
    ) -> Result<(), Error> {
        let of_hosts = &mut self.wanted.of_hosts;
        let (mut now, mut wanted) = (BTreeSet::new(), BTreeSet::new());
        for id in hosts {
            now.extend(of_hosts.remove(id).flatten().into_iter().flatten());
            if network.of_network.is_held_by(id) {
                let entries = network.entries_of(id);
                wanted.extend(entries.iter().flatten().copied());
                of_hosts.insert(id.clone(), entries);
            }
        }
        ways::change(host, self.index, &now, &wanted)
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
    fn of(id: &HostId, Seen { network, view, here, .. }: &Seen<'_>) -> Option<Self> {
        let host = view.hosts.get(id)?;
        let address = host.reached_from(here.local)?;
        let is_smaller = host.mtu < here.underlay.mtu;
        let mtu = is_smaller.then(|| inner_mtu(host.mtu, network, here.local));
        Some(Self { mac: network.vni.mac_of(id), address, mtu })
    }
}

/// How large a network's packets can be on a host whose link carries so much.
pub(crate) fn inner_mtu(outer: u32, network: &Network, local: IpAddr) -> u32 {
    let overhead = if network.encrypted { mtu::wireguard_overhead(local) } else { mtu::vxlan_overhead(local) };
    let room = outer.saturating_sub(overhead);
    network.mtu.map_or(room, |wanted| wanted.min(room))
}

/// Has the kernel be as it is wanted. What it is now is read, unless it is known.
pub(crate) fn program(host: &mut Socket, known: Option<Programmed>, wanted: Wanted) -> Result<Programmed, Error> {
    let entries = wanted.entries();
    let (index, now) = match known {
        Some(Programmed { index, wanted: now }) if now.device == wanted.device => (index, now.entries()),
        _ => {
            let link = device(host, &wanted.device)?;
            (link.index, ways::read(host, link.index, &entries)?)
        }
    };
    ways::change(host, index, &now, &entries)?;
    Ok(Programmed { index, wanted })
}

/// How much is not as it is wanted.
pub(super) fn differences(host: &mut Socket, wanted: &Wanted) -> Result<u64, Error> {
    let Some(link) = if_found(host.link(wanted.device.name.as_str()))? else { return Ok(1) };
    if !wanted.device.is(&link) {
        return Ok(1);
    }
    let entries = wanted.entries();
    let found = ways::read(host, link.index, &entries)?;
    Ok(found.symmetric_difference(&entries).count() as u64)
}

/// Removes the device and the routes that do not go with it.
pub(crate) fn remove(host: &mut Socket, network: &NetworkName, name: &str) -> Result<(), Error> {
    remove_labelled(host, &label(network), name).map(drop)
}

/// Removes a device if it has that label; `false` if there is none.
pub(super) fn remove_labelled(host: &mut Socket, label: &str, name: &str) -> Result<bool, Error> {
    if let Some(link) = if_found(host.link(name))?
        && link.alias.as_deref() == Some(label)
    {
        if_found(host.delete_link(link.index))?;
        return Ok(true);
    }
    Ok(false)
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
    quieten(host, link, &wanted.name)?;
    let change = LinkChange { alias: Some(&wanted.label), up: Some(true), ..LinkChange::default() };
    Ok(host.change_and_read(link.index, &change)?)
}

/// Says nothing by itself, and hears no routers.
pub(super) fn quieten(host: &mut Socket, link: &Link, name: &str) -> Result<(), Error> {
    let quiet = LinkChange { ipv6_link_local: Some(false), ..LinkChange::default() };
    match host.change_link(link.index, &quiet) {
        // A host without IPv6 has nothing to forgo.
        Err(error) if error.errno() == Some(nix::libc::EAFNOSUPPORT) => {}
        outcome => outcome?,
    }
    Ok(sysctl::refuse_router_advertisements(name)?)
}
