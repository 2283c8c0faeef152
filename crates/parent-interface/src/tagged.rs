//! Links that we make for a tag.

use netlink::{Link, LinkChange, LinkKind, NewLink, Socket, if_found};
use nix::libc;

use crate::Error;
use crate::master::Tagged;

/// Says that a link is ours. It is no attachment's, but all of theirs.
const ALIAS: &str = "ferrocni:parent";
/// What a link is called until it has its alias. There is one at a time, under the lock; one that is found is what is left
/// of a process that was killed.
const UNFINISHED: &str = "ferrocni-parent";

pub(crate) fn is_ours(link: &Link) -> bool {
    link.alias.as_deref() == Some(ALIAS)
}

/// The untagged link below, `eth0` for `eth0.20`.
fn nic(socket: &mut Socket, tagged: &Tagged) -> Result<Link, Error> {
    match socket.link(tagged.nic.as_str()) {
        Err(error) if error.is_not_found() => Err(Error::NoNic { nic: tagged.nic.clone(), tag: tagged.tag }),
        link => Ok(link?),
    }
}

/// Makes the link: for the containers alone, so the host takes no part in that VLAN.
pub(crate) fn create(socket: &mut Socket, name: &str, tagged: &Tagged) -> Result<Link, Error> {
    let nic = nic(socket, tagged)?;
    let kind = LinkKind::Vlan { id: tagged.tag.get() };
    let wanted = NewLink { parent: Some(nic.index), ..NewLink::new(UNFINISHED, kind) };
    let created = match socket.create_link(&wanted) {
        Err(error) if error.is_exists() => {
            delete(socket, UNFINISHED)?;
            socket.create_link(&wanted)
        }
        created => created,
    };
    let link = created.map_err(|error| explain(socket, error, &nic, tagged))?;
    finish(socket, link, name).inspect_err(|_error| drop(delete(socket, UNFINISHED)))
}

fn finish(socket: &mut Socket, link: Link, name: &str) -> Result<Link, Error> {
    sysctl::refuse_router_advertisements(UNFINISHED)?;
    let no_link_local = LinkChange { ipv6_link_local: Some(false), ..LinkChange::default() };
    match socket.change_link(link.index, &no_link_local) {
        // A host without IPv6.
        Err(error) if error.errno() == Some(libc::EAFNOSUPPORT) => {}
        outcome => outcome?,
    }
    let named = LinkChange { name: Some(name), alias: Some(ALIAS), ..LinkChange::default() };
    socket.change_link(link.index, &named)?;
    ensure_up(socket, Link { name: name.to_owned(), ..link })
}

/// The process that made it may have been killed before this.
pub(crate) fn ensure_up(socket: &mut Socket, link: Link) -> Result<Link, Error> {
    if link.up {
        return Ok(link);
    }
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    match socket.change_and_read(link.index, &up) {
        Err(error) if error.errno() == Some(libc::ENETDOWN) => Err(Error::NicDown { link: link.name }),
        link => Ok(link?),
    }
}

/// Removes the link if it is ours.
pub(crate) fn remove(name: &str) -> Result<(), Error> {
    if Tagged::from_name(name).is_none() {
        return Ok(());
    }
    let mut socket = Socket::open()?;
    delete(&mut socket, UNFINISHED)?;
    match if_found(socket.link(name))? {
        Some(link) if is_ours(&link) => delete(&mut socket, name),
        _ => Ok(()),
    }
}

fn delete(socket: &mut Socket, name: &str) -> Result<(), Error> {
    if_found(socket.delete_link(name))?;
    Ok(())
}

fn explain(socket: &mut Socket, refusal: netlink::Error, nic: &Link, tagged: &Tagged) -> Error {
    // Of two reasons for EEXIST: the name is not taken, so the tag is.
    if refusal.is_exists() {
        // Where that cannot be seen, the refusal itself says more than why.
        return match require_free(socket, nic, tagged) {
            Err(taken @ Error::TagTaken { .. }) => taken,
            _ => Error::Netlink(refusal),
        };
    }
    if refusal.is_unsupported() {
        return Error::NoVlanSupport { nic: tagged.nic.clone(), tag: tagged.tag };
    }
    Error::Netlink(refusal)
}

/// The kernel has one link at most for a tag.
fn require_free(socket: &mut Socket, nic: &Link, tagged: &Tagged) -> Result<(), Error> {
    let kind = LinkKind::Vlan { id: tagged.tag.get() };
    let links = socket.links_on(nic.index, kind)?;
    match links.into_iter().find(|link| link.options == Some(kind)) {
        Some(holder) => Err(Error::TagTaken { nic: tagged.nic.clone(), tag: tagged.tag, holder: holder.name }),
        None => Ok(()),
    }
}

/// For STATUS: the link could be made. Returns what it would be.
pub(crate) fn probe(socket: &mut Socket, tagged: &Tagged) -> Result<Link, Error> {
    let nic = nic(socket, tagged)?;
    if !socket.knows(LinkKind::Vlan { id: tagged.tag.get() })? {
        return Err(Error::NoVlanSupport { nic: tagged.nic.clone(), tag: tagged.tag });
    }
    if !nic.up {
        return Err(Error::NicDown { link: tagged.to_string() });
    }
    require_free(socket, &nic, tagged)?;
    Ok(Link {
        index: 0,
        name: tagged.to_string(),
        kind: Some("vlan".to_owned()),
        master: None,
        bridge_port: None,
        ..nic
    })
}
