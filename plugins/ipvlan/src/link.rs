//! The container's link: made in the container, on its parent.

use cni_plugin::{Add, Check, Undo};
use container_interface::link;
use netlink::{Link, LinkKind, Netns, NewLink, Socket};

use crate::config::words;
use crate::{Config, Error, port};

/// The link type, as in `IFLA_INFO_KIND`.
pub(crate) const KIND: &str = "ipvlan";

/// Creates the link; it is still down.
pub(crate) fn create(
    inside: &mut Socket,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let config = &request.network.config;
    suite::note_inert_key(&request.network, "vlan", "VLAN 20 of eth0 is \"master\": \"eth0.20\"");
    suite::note_inert_key(&request.network, "flag", "the key for who reaches whom is \"ipvlanFlag\"");
    let previous = config.previous_interface(request.network.prev_result.as_deref())?;
    let master = config.master(previous.as_ref());
    let mut parents = master.socket(netns)?;
    let parent = master.attach(&mut parents, &request.attachment, undo)?;
    port::agree(&mut parents, &parent, request, undo)?;
    let wanted = NewLink {
        parent: Some(parent.index),
        mtu: config.mtu(),
        ..NewLink::new(request.attachment.ifname.as_str(), config.kind())
    };
    let created = link::create(&mut parents, inside, netns, &request.attachment, &wanted, undo);
    created.map_err(|error| match error {
        container_interface::Error::Netlink(refusal) => {
            parent_interface::Error::of_refusal(refusal, &parent, config.kind()).into()
        }
        error => error.into(),
    })
}

/// For CHECK: the link is an ipvlan link of the network's mode and flag, on the network's parent.
pub(crate) fn check(link: &Link, netns: &Netns, request: &Check<Config>) -> Result<(), Error> {
    let config = &request.network.config;
    let differs = |what, expected: &str, found: &str| {
        Error::from(container_interface::Error::differs(what, &request.attachment.ifname, expected, found))
    };
    match link.options {
        Some(kind) if kind == config.kind() => {}
        Some(LinkKind::Ipvlan { mode, isolation }) => {
            return Err(differs("kind", &config.terms(), &words(mode, isolation)));
        }
        _ => return Err(differs("kind", KIND, link.kind.as_deref().unwrap_or("a physical device"))),
    }
    Ok(config.master(None).check(netns, link)?)
}

/// For STATUS: the kernel supports ipvlan, and the parent exists or can be created, and is not in use in another mode.
pub(crate) fn probe(config: &Config, has_ipam: bool) -> Result<(), Error> {
    let mut host = Socket::open()?;
    let parent = if config.knows_master(has_ipam) { config.master(None).probe(&mut host)? } else { None };
    parent_interface::probe_on(&mut host, parent.as_ref(), config.kind())?;
    parent.map_or(Ok(()), |parent| port::probe(&mut host, &parent, config))
}
