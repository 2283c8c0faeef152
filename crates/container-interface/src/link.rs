//! Links that exist in the container only: created there under their final name, labelled, and deleted there.

use std::path::Path;

use cni_plugin::{Attachment, Gc, Interface, Undo};
use netlink::{Link, LinkChange, Mac, Netns, NewLink, Socket, if_found};
use suite::Labelled as _;

use crate::{Error, veth};

/// Makes the attachment's link in the container, on a parent in `host`'s namespace, and labels it.
///
/// The name in `link` has to be the attachment's interface.
///
/// # Errors
/// [`Error::AttachedAlready`] and [`Error::NameTaken`] if the container has an interface of that name, else the kernel's
/// refusal, also where that is `EEXIST` for another reason.
pub fn create(
    host: &mut Socket,
    inside: &mut Socket,
    netns: &Netns,
    attachment: &Attachment,
    link: &NewLink<'_>,
    undo: &mut Undo,
) -> Result<Link, Error> {
    match host.create_link_in(netns, link) {
        Err(error) if error.is_exists() => {
            refuse_taken_name(inside, attachment)?;
            // The name is free, so the parent has something already that it can have only once, such as a VLAN.
            return Err(error.into());
        }
        Err(error @ netlink::Error::Socket { .. }) => {
            undo_unanswered_creation(netns, attachment, undo);
            return Err(error.into());
        }
        outcome => outcome?,
    }
    undo_creation(netns, attachment, undo);
    let label = attachment.label();
    let change = LinkChange { alias: Some(&label), ..LinkChange::default() };
    Ok(inside.change_and_read(attachment.ifname.as_str(), &change)?)
}

/// Pushes the undo of a link that is about to be created on the host: the kernel may create it, and its answer may still be
/// lost. The hardware address tells the link from another one of the same name.
pub fn undo_creation_on_host(name: &str, mac: Mac, undo: &mut Undo) {
    let name = name.to_owned();
    undo.push(format!("delete link {name}"), move || {
        let mut host = Socket::open()?;
        match if_found(host.link(name.as_str()))? {
            Some(link) if link.mac == Some(mac) => if_found(host.delete_link(link.index)).map(drop),
            _ => Ok(()),
        }
    });
}

/// The kernel may have created the link although its answer was lost. Such a link has no label yet, unlike the link of an
/// earlier ADD.
fn undo_unanswered_creation(netns: &Netns, attachment: &Attachment, undo: &mut Undo) {
    let (path, ifname) = (netns.path().to_owned(), attachment.ifname.clone());
    undo.push(format!("delete interface {ifname} in the container"), move || {
        let mut inside = Socket::open_in(&Netns::open(path)?)?;
        match if_found(inside.link(ifname.as_str()))? {
            Some(link) if link.alias.is_none() => if_found(inside.delete_link(link.index)).map(drop),
            _ => Ok(()),
        }
    });
}

/// Pushes the undo of a link that exists in the container under the attachment's interface name.
pub fn undo_creation(netns: &Netns, attachment: &Attachment, undo: &mut Undo) {
    let (path, ifname) = (netns.path().to_owned(), attachment.ifname.clone());
    undo.push(format!("delete interface {ifname} in the container"), move || {
        if_found(Socket::open_in(&Netns::open(path)?)?.delete_link(ifname.as_str())).map(drop)
    });
}

/// Deletes the attachment's link of this kind in the container, if it is there: it may have gone with its parent, or with
/// the namespace.
///
/// A link without a label was made by the Go suite, or by an ADD that was killed before it could label it. A link with the
/// label of another attachment is left alone: an ADD that failed because the name was taken is followed by a DEL.
///
/// # Errors
/// When the namespace cannot be entered although it is there, or the kernel refuses.
pub fn delete(netns: Option<&Path>, attachment: &Attachment, kind: &str) -> Result<(), Error> {
    let Some(mut inside) = enter(netns)? else { return Ok(()) };
    let Some(link) = if_found(inside.link(attachment.ifname.as_str()))? else { return Ok(()) };
    if link.kind.as_deref() != Some(kind) || !may_be_of(&link, attachment) {
        return Ok(());
    }
    if_found(inside.delete_link(link.index))?;
    Ok(())
}

/// Whether a link can be the attachment's: it has the attachment's label, or none.
#[must_use]
pub fn may_be_of(link: &Link, attachment: &Attachment) -> bool {
    let holder = link.alias.as_deref().and_then(Attachment::split_label);
    holder.is_none_or(|(holder, _)| holder == *attachment)
}

/// For GC: the host's links of this kind (`IFLA_INFO_KIND`) whose attachments are no longer valid, each with its attachment.
///
/// # Errors
/// When the kernel refuses to list the links.
pub fn find_stale<C>(host: &mut Socket, request: &Gc<C>, kind: &str) -> Result<Vec<(Attachment, Link)>, Error> {
    let stale = |link: Link| {
        let holder = link.alias.as_deref().and_then(Attachment::from_label)?;
        request.is_stale(&holder).then_some((holder, link))
    };
    let links = host.links()?.into_iter().filter(|link| link.kind.as_deref() == Some(kind));
    Ok(links.filter_map(stale).collect())
}

/// A socket in the container, for DEL; `None` if the container is gone.
///
/// # Errors
/// When the namespace is there, but cannot be entered.
pub fn enter(netns: Option<&Path>) -> Result<Option<Socket>, Error> {
    let netns = open_netns(netns)?;
    Ok(netns.as_ref().map(Socket::open_in).transpose()?)
}

/// The same for a plugin that changes an interface which another plugin made. Also `None` if the interface is another
/// attachment's: the path belongs to the next container by now.
///
/// # Errors
/// When the namespace is there, but cannot be entered, or the kernel refuses.
pub fn enter_own(netns: Option<&Path>, attachment: &Attachment) -> Result<Option<Socket>, Error> {
    let Some(netns) = open_netns(netns)? else { return Ok(None) };
    let mut inside = Socket::open_in(&netns)?;
    let is_of_another = match if_found(inside.link(attachment.ifname.as_str()))? {
        Some(link) => veth::is_of_another(&link, &netns, attachment)?,
        None => false,
    };
    Ok((!is_of_another).then_some(inside))
}

/// The container's namespace, for DEL; `None` if it is gone.
pub(crate) fn open_netns(netns: Option<&Path>) -> Result<Option<Netns>, Error> {
    let Some(path) = netns else { return Ok(None) };
    Ok(if_found(Netns::open(path))?)
}

/// Makes sure that the container has no interface of the attachment's name.
///
/// # Errors
/// [`Error::AttachedAlready`] if it is the attachment's own, [`Error::NameTaken`] if not.
pub fn refuse_taken_name(inside: &mut Socket, attachment: &Attachment) -> Result<(), Error> {
    let Some(link) = if_found(inside.link(attachment.ifname.as_str()))? else { return Ok(()) };
    let holder = link.alias.as_deref().and_then(Attachment::split_label);
    let attachment = attachment.clone();
    Err(if holder.is_some_and(|(holder, _)| holder == attachment) {
        Error::AttachedAlready { attachment }
    } else {
        Error::NameTaken { ifname: attachment.ifname }
    })
}

/// The result's entry for a link in the container: name, hardware address, MTU, and `netns` as the sandbox.
#[must_use]
pub fn describe(link: &Link, netns: &Path) -> Interface {
    describe_on_host(link).inside(netns)
}

/// The result's entry for a link on the host: name, hardware address and MTU; the sandbox is empty.
#[must_use]
pub fn describe_on_host(link: &Link) -> Interface {
    Interface::new(&link.name).with_mac(&link.hardware_address).with_mtu(link.mtu)
}
