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
    pub(super) entries: BTreeSet<Entry>,
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
            entries.insert(Entry::Route(Way { to: block.network(), via: Some(block.first()), mtu: peer.mtu }));
        }
        for (address, _, claim) in of_network.addresses() {
            let owner = &claim.value.host;
            let same_family = |block: &overlay::Block| block.is_ipv4() == address.is_ipv4();
            let via = of_network.blocks_of(owner).find(same_family).filter(|_| claim.value.granted && owner != here.id);
            if let (Some(via), Some(Some(peer))) = (via, peers.get(owner)) {
                entries.insert(Entry::Route(Way {
                    to: IpNetwork::from(address),
                    via: Some(via.first()),
                    mtu: peer.mtu,
                }));
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
    let overhead = if network.encrypted { mtu::wireguard_overhead(local) } else { mtu::vxlan_overhead(local) };
    let room = outer.saturating_sub(overhead);
    network.mtu.map_or(room, |wanted| wanted.min(room))
}

/// Has the kernel be as it is wanted. What it is now is read, unless it is known.
pub(crate) fn program(host: &mut Socket, known: Option<Programmed>, wanted: Wanted) -> Result<Programmed, Error> {
    let (index, now) = match known {
        Some(Programmed { index, wanted: now }) if now.device == wanted.device => (index, now.entries),
        _ => {
            let link = device(host, &wanted.device)?;
            (link.index, ways::read(host, link.index, &wanted.entries)?)
        }
    };
    ways::change(host, index, &now, &wanted.entries)?;
    Ok(Programmed { index, wanted })
}

/// How much is not as it is wanted.
pub(super) fn differences(host: &mut Socket, wanted: &Wanted) -> Result<u64, Error> {
    let Some(link) = if_found(host.link(wanted.device.name.as_str()))? else { return Ok(1) };
    if !wanted.device.is(&link) {
        return Ok(1);
    }
    let found = ways::read(host, link.index, &wanted.entries)?;
    Ok(found.symmetric_difference(&wanted.entries).count() as u64)
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
