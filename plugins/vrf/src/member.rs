//! An interface in a VRF.
//!
//! The kernel takes an interface down and up again when it joins a VRF or leaves it (`cycle_netdev`, drivers/net/vrf.c), and
//! with that go its routes, and its IPv6 addresses unless `keep_addr_on_down` is set. The routes of its subnets are made
//! anew by the kernel, in the table that it belongs to then; all others have to be made by us.

use cni_plugin::{Add, Check, Difference, IfName, Undo};
use netlink::{
    Address, AddressSpec, Family, Link, LinkChange, LinkKind, Netns, Route, RouteType, Socket, if_found, table,
};

use crate::domain::Domain;
use crate::{Config, Error};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Puts the attachment's interface into the VRF.
pub(crate) fn join(inside: &mut Socket, vrf: &Domain, request: &Add<Config>, undo: &mut Undo) -> Result<(), Error> {
    let ifname = &request.attachment.ifname;
    let link = inside.link(ifname.as_str())?;
    match link.master {
        Some(master) if master == vrf.link.index => return Ok(()),
        Some(master) => {
            let (master, vrf) = (inside.link(master)?.name, vrf.link.name.clone());
            return Err(Error::OtherMaster { ifname: ifname.clone(), master, vrf });
        }
        None => {}
    }
    let routes = routes(inside, link.index, table::MAIN)?;
    let (netns, index, kept) = (request.netns.clone(), link.index, routes.clone());
    undo.push(format!("take interface {ifname} out of its VRF"), move || {
        change_master(&mut Socket::open_in(&Netns::open(netns)?)?, index, 0, &kept, table::MAIN)
    });
    Ok(change_master(inside, link.index, vrf.link.index, &routes, vrf.table)?)
}

/// Takes the interface out of its VRF; returns the VRF's index.
pub(crate) fn leave(inside: &mut Socket, ifname: &IfName) -> Result<Option<u32>, Error> {
    let Some(link) = if_found(inside.link(ifname.as_str()))? else { return Ok(None) };
    let Some(master) = link.master else { return Ok(None) };
    let Some(LinkKind::Vrf { table }) = inside.link(master)?.options else { return Ok(None) };
    let routes = routes(inside, link.index, table)?;
    change_master(inside, link.index, 0, &routes, table::MAIN)?;
    Ok(Some(master))
}

/// Changes an interface's master, and lets it keep its addresses and its routes, which move to `table`.
fn change_master(inside: &mut Socket, link: u32, master: u32, routes: &[Route], table: u32) -> netlink::Result<()> {
    let addresses = inside.addresses_of(link, Family::V6)?;
    // Not all go by themselves: where several links share a default route, the kernel brings a link's part back.
    for route in routes {
        if_found(inside.delete_route(route))?;
    }
    inside.change_link(link, &LinkChange { master: Some(master), ..LinkChange::default() })?;
    let mut batch = inside.batch();
    for address in addresses.iter().filter(|address| !is_link_local(address)) {
        batch.ensure_address(&AddressSpec::new(link, address.network));
    }
    let (through, direct): (Vec<_>, Vec<_>) = routes.iter().partition(|route| route.gateway.is_some());
    for route in direct.into_iter().chain(through) {
        batch.add_parallel_route(&Route { table, ..route.clone() });
    }
    batch.send()
}

/// Its routes in a table, but for those that the kernel makes by itself when it goes up.
fn routes(inside: &mut Socket, link: u32, table: u32) -> netlink::Result<Vec<Route>> {
    let mut found = Vec::new();
    for family in FAMILIES {
        let routes = inside.routes(family, Some(link), table)?;
        found.extend(routes.into_iter().filter(|route| route.kind == RouteType::Unicast && !route.is_kernels));
    }
    Ok(found)
}

fn is_link_local(address: &Address) -> bool {
    matches!(address.network.ip(), std::net::IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The interface is in the VRF, the VRF has the table that it should have, and the table the interface's routes.
pub(crate) fn check(inside: &mut Socket, vrf: Option<&Domain>, request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let Some(vrf) = vrf else {
        return Err(differs(format!("VRF {}", config.name()?), "a VRF", "no such link"));
    };
    let link = inside.link(request.attachment.ifname.as_str())?;
    if link.master != Some(vrf.link.index) {
        let found = master_name(inside, &link)?;
        return Err(differs(format!("master of interface {}", link.name), &vrf.link.name, &found));
    }
    if let Some(wanted) = config.table().filter(|wanted| *wanted != vrf.table) {
        return Err(differs(format!("table of VRF {}", vrf.link.name), &wanted.to_string(), &vrf.table.to_string()));
    }
    if vrf.link.up { Ok(()) } else { Err(differs(format!("VRF {}", vrf.link.name), "up", "down")) }
}

fn master_name(inside: &mut Socket, link: &Link) -> Result<String, Error> {
    match link.master {
        Some(master) => Ok(inside.link(master)?.name),
        None => Ok("none".to_owned()),
    }
}

fn differs(what: String, expected: &str, found: &str) -> Error {
    Difference::new(what, expected, found).into()
}
