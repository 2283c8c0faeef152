//! The VRF: made by the first interface that is put into it, gone with the last.

use std::path::Path;

use cni_plugin::{IfName, Undo};
use netlink::{Family, Link, LinkChange, LinkKind, LinkRef, Mac, Netns, NewLink, Socket, if_found};

use crate::{Config, Error};

/// A VRF in the container.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) link: Link,
    pub(crate) table: u32,
}

/// The VRF, up: found, or made.
pub(crate) fn ensure(inside: &mut Socket, config: &Config, netns: &Path, undo: &mut Undo) -> Result<Domain, Error> {
    let name = config.name()?;
    let Some(found) = find(inside, config)? else { return create(inside, name, config, netns, undo) };
    if let Some(wanted) = config.table().filter(|wanted| *wanted != found.table) {
        return Err(Error::OtherTable { name: name.clone(), found: found.table, wanted });
    }
    if !found.link.up {
        inside.change_link(found.link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    }
    Ok(found)
}

/// The link of the VRF's name, which has to be a VRF.
pub(crate) fn find(inside: &mut Socket, config: &Config) -> Result<Option<Domain>, Error> {
    let name = config.name()?;
    if_found(inside.link(name.as_str()))?.map(|link| read(name, link)).transpose()
}

fn read(name: &IfName, link: Link) -> Result<Domain, Error> {
    match link.options {
        Some(LinkKind::Vrf { table }) => Ok(Domain { link, table }),
        _ => {
            let kind = link.kind.unwrap_or_else(|| "a physical device".to_owned());
            Err(Error::NotAVrf { name: name.clone(), kind })
        }
    }
}

fn create(inside: &mut Socket, name: &IfName, config: &Config, netns: &Path, undo: &mut Undo) -> Result<Domain, Error> {
    let table = match config.table() {
        Some(table) => table,
        None => unused_table(inside)?,
    };
    // Its hardware address distinguishes it from one that another attachment creates meanwhile.
    let mac = Mac::random()?;
    let wanted = NewLink { mac: Some(mac), up: true, ..NewLink::new(name.as_str(), LinkKind::Vrf { table }) };
    // First, for the kernel may do it and its answer get lost.
    undo_creation(name, mac, netns, undo);
    match inside.create_link(&wanted) {
        // Another attachment of the container was faster.
        Err(error) if error.is_exists() => read(name, inside.link(name.as_str())?),
        Err(error) if error.is_unsupported() => Err(Error::Unsupported),
        link => Ok(Domain { link: link?, table }),
    }
}

/// Other attachments may have joined it meanwhile: then it goes with the last of them.
fn undo_creation(name: &IfName, mac: Mac, netns: &Path, undo: &mut Undo) {
    let (netns, name) = (netns.to_owned(), name.clone());
    undo.push(format!("delete VRF {name}"), move || {
        let mut inside = Socket::open_in(&Netns::open(netns)?)?;
        match if_found(inside.link(name.as_str()))? {
            Some(link) if link.mac == Some(mac) => delete_if_empty(&mut inside, link.index),
            _ => Ok(()),
        }
    });
}

/// The first table that no VRF has and no route is in.
fn unused_table(inside: &mut Socket) -> Result<u32, Error> {
    let mut used: Vec<u32> = inside.links()?.iter().filter_map(table_of).collect();
    for family in [Family::V4, Family::V6] {
        used.extend(inside.routes_in_all_tables(family, None)?.iter().map(|route| route.table));
        used.extend(inside.rules(family)?.iter().map(|rule| rule.table));
    }
    Ok((1..).find(|table| !used.contains(table)).unwrap_or(u32::MAX))
}

fn table_of(link: &Link) -> Option<u32> {
    match link.options {
        Some(LinkKind::Vrf { table }) => Some(table),
        _ => None,
    }
}

/// Deletes the VRF that an interface left, or that the configuration names, unless it has others.
pub(crate) fn remove_if_empty(inside: &mut Socket, config: &Config, left: Option<u32>) -> Result<(), Error> {
    let named = config.name_if_any().map(|name| LinkRef::from(name.as_str()));
    let Some(vrf) = left.map(LinkRef::from).or(named) else { return Ok(()) };
    match if_found(inside.link(vrf))? {
        Some(link) if table_of(&link).is_some() => Ok(delete_if_empty(inside, link.index)?),
        _ => Ok(()),
    }
}

fn delete_if_empty(inside: &mut Socket, vrf: u32) -> netlink::Result<()> {
    if !inside.links_with_master(vrf)?.is_empty() {
        return Ok(());
    }
    if_found(inside.delete_link(vrf)).map(drop)
}
