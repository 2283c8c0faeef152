//! The interface: a link that is in the container alone and drops what it is given.

use cni_plugin::{Add, Check, Undo};
use container_interface::link;
use netlink::{Link, LinkKind, Netns, NewLink, Socket};

use crate::{Config, Error};

/// What the kernel calls it.
pub(crate) const KIND: LinkKind = LinkKind::Dummy;

/// Makes the interface in the container, down and without addresses.
pub(crate) fn create(
    inside: &mut Socket,
    netns: &Netns,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Link, Error> {
    suite::note_inert_key(&request.network, "mtu", "chain tuning behind it, which sets one");
    let wanted = NewLink::new(request.attachment.ifname.as_str(), KIND);
    match link::create(&mut Socket::open()?, inside, netns, &request.attachment, &wanted, undo) {
        Err(container_interface::Error::Netlink(error)) if error.is_unsupported() => Err(Error::NotInKernel),
        made => Ok(made?),
    }
}

/// For CHECK: no other kind of interface is in its place.
pub(crate) fn check(found: &Link, request: &Check<Config>) -> Result<(), Error> {
    if found.options == Some(KIND) {
        return Ok(());
    }
    let kind = found.kind.as_deref().unwrap_or("a device of its own");
    Err(container_interface::Error::differs("kind", &request.attachment.ifname, KIND.name(), kind).into())
}

/// For STATUS: the kernel has such links.
pub(crate) fn probe() -> Result<(), Error> {
    if Socket::open()?.knows(KIND)? { Ok(()) } else { Err(Error::NotInKernel) }
}
