//! The dummy interface: it exists in the container only, and drops whatever is sent out of it.

use cni_plugin::{Add, Check, Undo};
use container_interface::link;
use netlink::{Link, LinkKind, Netns, NewLink, Socket};

use crate::{Config, Error};

/// The link type (drivers/net/dummy.c).
pub(crate) const KIND: LinkKind = LinkKind::Dummy;

/// Creates the interface in the container; it is still down and has no addresses.
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

/// For CHECK: the interface is still a dummy interface.
pub(crate) fn check(found: &Link, request: &Check<Config>) -> Result<(), Error> {
    if found.options == Some(KIND) {
        return Ok(());
    }
    let kind = found.kind.as_deref().unwrap_or("a physical device");
    Err(container_interface::Error::differs("kind", &request.attachment.ifname, KIND.name(), kind).into())
}

/// For STATUS: the kernel supports dummy interfaces.
pub(crate) fn probe() -> Result<(), Error> {
    if Socket::open()?.knows(KIND)? { Ok(()) } else { Err(Error::NotInKernel) }
}
