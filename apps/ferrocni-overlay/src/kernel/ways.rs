//! What leads to other hosts: addresses, forwarding entries, neighbours and routes of a device, read, compared and changed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ip::Family;
use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Batch, Forwarding, Mac, Neighbour, Route, RouteType, Socket, if_found, table};

use crate::Error;

/// The number by which routes are known as the agent's (`rtm_protocol`); see /etc/iproute2/rt_protos for those of others.
pub(super) const PROTOCOL: u8 = 142;
/// As many requests are sent to the kernel at once: some ten kilobytes.
const CHUNK: usize = 400;

/// What the kernel is told about a network, in the order in which it is told: an entry is there before what needs it. Unreachable is
/// first, so that at no time anything leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Unreachable(IpNetwork),
    Address(IpAddr),
    Forwarding(Mac, IpAddr),
    Neighbour(IpAddr, Mac),
    Route(Way),
    Back(Back),
}

/// The way back for what is routed by a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Back {
    pub(super) table: u32,
    pub(super) via: IpAddr,
}

/// A route by way of another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) to: IpNetwork,
    /// None on a device that knows by itself whose a packet is.
    pub(super) via: Option<IpAddr>,
    /// If that host's packets are smaller than ours.
    pub(super) mtu: Option<u32>,
}

/// What the kernel has of what the agent could have told it.
pub(super) fn read(host: &mut Socket, index: u32, wanted: &BTreeSet<Entry>) -> Result<BTreeSet<Entry>, Error> {
    let mut entries = BTreeSet::new();
    entries.extend(host.addresses(index)?.into_iter().map(|address| Entry::Address(address.network.ip())));
    entries.extend(host.forwarding_entries(index)?.into_iter().map(|entry| Entry::Forwarding(entry.mac, entry.host)));
    entries
        .extend(host.permanent_neighbours(index)?.into_iter().map(|entry| Entry::Neighbour(entry.address, entry.mac)));
    for family in Family::ALL {
        let routes = host.routes(family, None, table::MAIN)?;
        let entry = |route: Route| match route {
            Route { link, gateway: via, destination: to, mtu, protocol: Some(PROTOCOL), .. } if link == Some(index) => {
                Some(Entry::Route(Way { to, via, mtu }))
            }
            Route { kind: RouteType::Unreachable, protocol: Some(PROTOCOL), destination, .. } => {
                Some(Entry::Unreachable(destination)).filter(|entry| wanted.contains(entry))
            }
            _ => None,
        };
        entries.extend(routes.into_iter().filter_map(entry));
        if wanted.iter().any(|entry| matches!(entry, Entry::Back(_))) {
            entries.extend(host.routes_in_all_tables(family, Some(index))?.iter().filter_map(back));
        }
    }
    Ok(entries)
}

fn back(route: &Route) -> Option<Entry> {
    let is_ours = route.protocol == Some(PROTOCOL) && route.table != table::MAIN && route.is_default();
    is_ours.then_some(Entry::Back(Back { table: route.table, via: route.gateway? }))
}

/// What there can be only one of is replaced, not removed first: packets always find one.
pub(super) fn change(
    host: &mut Socket,
    link: u32,
    now: &BTreeSet<Entry>,
    wanted: &BTreeSet<Entry>,
) -> Result<(), Error> {
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
    Back(u32, bool),
}

impl Entry {
    fn place(&self) -> Place {
        match *self {
            Self::Unreachable(subnet) => Place::Unreachable(subnet),
            Self::Address(address) => Place::Address(address),
            Self::Forwarding(mac, _) => Place::Forwarding(mac),
            Self::Neighbour(address, _) => Place::Neighbour(address),
            Self::Route(way) => Place::Route(way.to),
            Self::Back(back) => Place::Back(back.table, back.via.is_ipv4()),
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
            Self::Back(back) => batch.replace_route(&back.route(link)),
        };
    }

    fn remove(&self, link: u32, batch: &mut Batch<'_>) {
        match *self {
            Self::Unreachable(subnet) => batch.delete_route(&unreachable(subnet)),
            Self::Address(address) => batch.delete_address(link, IpNetwork::from(address)),
            Self::Forwarding(mac, host) => batch.delete_forwarding(&Forwarding { link, mac, host }),
            Self::Neighbour(address, mac) => batch.delete_neighbour(&Neighbour { link, address, mac }),
            Self::Route(way) => batch.delete_route(&way.route(link)),
            Self::Back(back) => batch.delete_route(&back.route(link)),
        };
    }
}

impl Way {
    fn route(self, link: u32) -> Route {
        let Self { to, via, mtu } = self;
        let onlink = via.is_some();
        Route { gateway: via, link: Some(link), mtu, onlink, protocol: Some(PROTOCOL), ..Route::new(to) }
    }
}

impl Back {
    fn route(self, link: u32) -> Route {
        let Self { table, via } = self;
        Route { table, onlink: true, protocol: Some(PROTOCOL), ..Route::default_via(via, link) }
    }
}

fn unreachable(subnet: IpNetwork) -> Route {
    Route { kind: RouteType::Unreachable, priority: Some(u32::MAX), protocol: Some(PROTOCOL), ..Route::new(subnet) }
}

/// Removes the route to nowhere of a subnet, if it is there.
pub(super) fn remove_unreachable_to(host: &mut Socket, subnet: IpNetwork) -> Result<(), Error> {
    if_found(host.delete_route(&unreachable(subnet)))?;
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
