//! The link that sends what the container sends: the kernel limits only what leaves a link, and so what arrives at the host's
//! end is first made to leave this one (drivers/net/ifb.c).

use std::fmt::Write as _;

use cni_plugin::{Attachment, Difference, Undo};
use container_interface::link::{may_be_of, undo_creation_on_host};
use netlink::{IngressFilter, Link, LinkChange, LinkKind, Mac, NewLink, Socket, if_found};
use sha2::{Digest as _, Sha512};
use suite::Labelled as _;

use crate::Error;
use crate::limit::Limit;

/// What they are called: this, and a hash of whose they are.
const PREFIX: &str = "bwp";
/// How many hexadecimal digits fit after it.
const DIGITS: usize = 12;

/// The two names that an attachment's link can have. The first is the reference's, so that each suite finds what the other has
/// made. But it says nothing of the interface, and of a container that has two in one network, the second takes the other.
fn names(attachment: &Attachment) -> [String; 2] {
    let hash = Sha512::new().chain_update(attachment.network.as_str()).chain_update(attachment.container.as_str());
    let mut name = PREFIX.to_owned();
    for byte in hash.finalize().iter().take(DIGITS / 2) {
        let _ = write!(name, "{byte:02x}");
    }
    [name, attachment.host_interface(PREFIX)]
}

/// Makes the attachment's link, labelled and limited, for a link with this MTU.
pub(crate) fn create(
    host: &mut Socket,
    attachment: &Attachment,
    mtu: u32,
    limit: Limit,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let ifb = create_under_a_free_name(host, attachment, mtu, undo)?;
    let label = attachment.label();
    let change = LinkChange { alias: Some(&label), ..LinkChange::default() };
    host.batch().change_link(ifb.index, &change).limit_rate(ifb.index, &limit.bucket()).send()?;
    Ok(ifb)
}

fn create_under_a_free_name(
    host: &mut Socket,
    attachment: &Attachment,
    mtu: u32,
    undo: &mut Undo,
) -> Result<Link, Error> {
    // An address of the kernel's own choice is one that udev replaces.
    let mac = Mac::random()?;
    for name in names(attachment) {
        let link = NewLink { mac: Some(mac), mtu: Some(mtu), up: true, ..NewLink::new(&name, LinkKind::Ifb) };
        undo_creation_on_host(&name, mac, undo);
        match host.create_link(&link) {
            Err(error) if error.is_exists() && !is_own(host, &name, attachment)? => {}
            Err(error) if error.is_exists() => break,
            outcome => return Ok(outcome?),
        }
    }
    Err(container_interface::Error::AttachedAlready { attachment: attachment.clone() }.into())
}

/// Whether the link of that name says that it is the attachment's.
fn is_own(host: &mut Socket, name: &str, attachment: &Attachment) -> Result<bool, Error> {
    Ok(if_found(host.link(name))?.is_some_and(|link| link.alias.is_some() && may_be_of(&link, attachment)))
}

/// For DEL: the attachment's links, whichever suite has made them. As a rule there is one.
///
/// One without a label is the reference's, or one whose ADD was killed before it could label it.
pub(crate) fn find_all(host: &mut Socket, attachment: &Attachment) -> Result<Vec<Link>, Error> {
    let mut found = Vec::new();
    for name in names(attachment) {
        found.extend(if_found(host.link(name.as_str()))?.filter(|link| is_ifb(link) && may_be_of(link, attachment)));
    }
    Ok(found)
}

fn is_ifb(link: &Link) -> bool {
    link.options == Some(LinkKind::Ifb)
}

/// For CHECK: what the host's end receives is handed to the attachment's link, which is up.
pub(crate) fn check(host: &mut Socket, end: &Link, attachment: &Attachment) -> Result<Link, Error> {
    let names = names(attachment);
    let mut found = "none".to_owned();
    for filter in host.ingress_filters(end.index)? {
        let IngressFilter::Redirection { to } = filter else { continue };
        let Some(link) = if_found(host.link(to))? else { continue };
        if is_ifb(&link) && names.contains(&link.name) && may_be_of(&link, attachment) {
            return check_up(link);
        }
        found = format!("to {}", link.name);
    }
    let what = format!("redirection of what link {} on the host receives", end.name);
    Err(Difference::new(what, format_args!("to {}", names[0]), found).into())
}

fn check_up(link: Link) -> Result<Link, Error> {
    if link.up {
        return Ok(link);
    }
    Err(Difference::new(format!("state of link {} on the host", link.name), "up", "down").into())
}
