//! The container's link: made in the container, on its parent on the host.

use cni_plugin::{Add, Check, Undo};
use container_interface::link;
use netlink::{Link, LinkKind, Netns, NewLink, Socket};

use crate::{Config, Error};

/// The link type, as in `IFLA_INFO_KIND`.
pub(crate) const KIND: &str = "vlan";

/// Creates the link; it is still down.
pub(crate) fn create(
    inside: &mut Socket,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let config = &request.network.config;
    let master = config.master()?;
    let mut parents = master.socket(netns)?;
    let parent = master.attach(&mut parents, &request.attachment, undo)?;
    require_up(&parent)?;
    let wanted = NewLink {
        parent: Some(parent.index),
        mtu: parent_interface::mtu_on(&parent, config.mtu)?,
        ..NewLink::new(request.attachment.ifname.as_str(), config.kind())
    };
    let created = link::create(&mut parents, inside, netns, &request.attachment, &wanted, undo);
    created.map_err(|error| explain(error, &mut parents, &parent, config.kind()))
}

/// The kernel refuses to set a VLAN up while its parent is down.
fn require_up(parent: &Link) -> Result<(), Error> {
    if parent.up { Ok(()) } else { Err(Error::Down { parent: parent.name.clone() }) }
}

/// Translates the kernel's refusals.
fn explain(error: container_interface::Error, parents: &mut Socket, parent: &Link, kind: LinkKind) -> Error {
    let container_interface::Error::Netlink(refusal) = error else { return error.into() };
    let parent_name = || parent.name.clone();
    match kind {
        LinkKind::Vlan { id } if refusal.is_exists() => Error::InUse { id, parent: parent_name() },
        _ if refusal.is_unsupported() => match parents.knows(kind) {
            Ok(true) => Error::CannotCarry { parent: parent_name(), source: refusal },
            Ok(false) => parent_interface::Error::of_refusal(refusal, parent, kind).into(),
            Err(error) => error.into(),
        },
        _ => parent_interface::Error::of_refusal(refusal, parent, kind).into(),
    }
}

/// For CHECK: the link is the network's VLAN of the network's parent.
pub(crate) fn check(link: &Link, netns: &Netns, request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let describe = |kind: Option<LinkKind>| match kind {
        Some(LinkKind::Vlan { id }) => format!("VLAN {id}"),
        _ => link.kind.as_deref().unwrap_or("a physical device").to_owned(),
    };
    if link.options != Some(config.kind()) {
        let (expected, found) = (describe(Some(config.kind())), describe(link.options));
        let ifname = &request.attachment.ifname;
        return Err(container_interface::Error::differs("kind", ifname, &expected, &found).into());
    }
    Ok(config.master()?.check(netns, link)?)
}

/// For STATUS: the kernel supports VLANs, and the parent exists or can be created.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    let mut host = Socket::open()?;
    let parent = config.master()?.probe(&mut host)?;
    parent_interface::probe_on(&mut host, parent.as_ref(), config.kind())?;
    let Some(parent) = parent else { return Ok(()) };
    require_up(&parent)?;
    parent_interface::mtu_on(&parent, config.mtu)?;
    Ok(())
}
