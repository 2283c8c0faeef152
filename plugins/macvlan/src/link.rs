//! The container's link: made in the container, on its parent on the host.

use cni_plugin::{Add, Check, Undo};
use container_interface::link;
use netlink::{Link, LinkChange, LinkKind, Mac, MacvlanMode, Netns, NewLink, Socket};
use nix::libc;

use crate::config::name_of;
use crate::{Config, Error};

/// The link type, as in `IFLA_INFO_KIND`.
pub(crate) const KIND: &str = "macvlan";

/// Creates the link; it is still down.
pub(crate) fn create(
    inside: &mut Socket,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let config = &request.network.config;
    suite::note_inert_key(&request.network, "vlan", "VLAN 20 of eth0 is \"master\": \"eth0.20\"");
    let mac = match config.mac(&request.network.args)? {
        // Set here, because an address that the kernel chose would be replaced by a udev that runs in the container.
        None if config.mode != MacvlanMode::Passthru => Some(Mac::random()?),
        asked => asked,
    };
    let mut parents = config.master().socket(netns)?;
    let parent = config.master().attach(&mut parents, &request.attachment, undo)?;
    let wanted = NewLink {
        parent: Some(parent.index),
        mac,
        mtu: parent_interface::mtu_on(&parent, config.mtu)?,
        ..NewLink::new(request.attachment.ifname.as_str(), config.kind())
    };
    let created = link::create(&mut parents, inside, netns, &request.attachment, &wanted, undo);
    let link = created.map_err(|error| explain_creation(error, &parent, config))?;
    match mac {
        // In mode passthru the link starts with the parent's address. Changing it changes the parent's too, until DEL.
        Some(_) if mac != link.mac => {
            Ok(inside.change_and_read(link.index, &LinkChange { mac, ..LinkChange::default() })?)
        }
        _ => Ok(link),
    }
}

/// Translates the kernel's refusals. The other reasons for `EINVAL` have been checked before.
fn explain_creation(error: container_interface::Error, parent: &Link, config: &Config) -> Error {
    let container_interface::Error::Netlink(refusal) = error else { return error.into() };
    let parent_name = || parent.name.clone();
    match parent_interface::Error::of_refusal(refusal, parent, config.kind()) {
        parent_interface::Error::Netlink(refusal) if refusal.errno() == Some(libc::EINVAL) => match config.mode {
            MacvlanMode::Passthru => Error::NotAlone { parent: parent_name() },
            _ => Error::TakenOver { parent: parent_name() },
        },
        error => error.into(),
    }
}

/// The kernel checks that the hardware address is free only when the link goes up.
pub(crate) fn explain_up(error: container_interface::Error, link: &Link) -> Error {
    match (error, link.mac) {
        (container_interface::Error::Netlink(refusal), Some(mac)) if refusal.errno() == Some(libc::EADDRINUSE) => {
            Error::MacInUse { mac }
        }
        (error, _) => error.into(),
    }
}

/// For CHECK: the link is a macvlan link of the network's mode, on the network's parent.
pub(crate) fn check(link: &Link, netns: &Netns, request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let differs = |what, expected: &str, found: &str| {
        Error::from(container_interface::Error::differs(what, &request.attachment.ifname, expected, found))
    };
    match link.options {
        Some(LinkKind::Macvlan { mode, .. }) if mode == config.mode => {}
        Some(LinkKind::Macvlan { mode, .. }) => {
            return Err(differs("mode", name_of(config.mode), name_of(mode)));
        }
        _ => return Err(differs("kind", KIND, link.kind.as_deref().unwrap_or("a physical device"))),
    }
    Ok(config.master().check(netns, link)?)
}

/// For STATUS: the kernel supports macvlan, and the parent exists or can be created.
pub(crate) fn probe(config: &Config) -> Result<(), Error> {
    let mut host = Socket::open()?;
    let parent = config.master().probe(&mut host)?;
    parent_interface::probe_on(&mut host, parent.as_ref(), config.kind())?;
    if let Some(parent) = parent {
        parent_interface::mtu_on(&parent, config.mtu)?;
    }
    Ok(())
}
