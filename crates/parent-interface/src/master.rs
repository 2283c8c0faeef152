use std::fmt;

use cni_plugin::{Attachment, Difference, LinkName, Undo};
use netlink::{Family, Link, LinkKind, Netns, Route, Socket, if_found, table};
use serde::Deserializer;

use crate::holders::Holders;
use crate::{Error, VlanId, detach, tagged};

/// The link that a network's interfaces sit on, as its configuration says.
#[derive(Debug, Clone, Copy)]
pub struct Master<'a> {
    /// The configuration key that names it (`master`, `uplink`), for errors.
    pub key: &'static str,
    /// Its name; the link of the default route without.
    pub name: Option<&'a LinkName>,
    /// `linkInContainer`: the link is in the container's namespace, where nothing is made for it.
    pub in_container: bool,
}

/// A link that can be made: a NIC and a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tagged {
    pub(crate) nic: String,
    pub(crate) tag: VlanId,
}

impl Master<'_> {
    /// For ADD: the link, made if it has a tag and is not there. `socket` is of the namespace that it is in.
    ///
    /// # Errors
    /// [`Error::NoMaster`], [`Error::NoNic`] and others that say what is wrong with the configured link.
    pub fn attach(self, socket: &mut Socket, attachment: &Attachment, undo: &mut Undo) -> Result<Link, Error> {
        let name = self.link_name(socket)?;
        let Some(tagged) = self.tagged(&name) else { return self.existing(socket, &name) };
        match find(socket, &name)? {
            Some(link) if !tagged::is_ours(&link) => Ok(link),
            _ => hold(socket, &name, &tagged, attachment, undo),
        }
    }

    /// For CHECK: the link, which has to be there.
    ///
    /// # Errors
    /// [`Error::NoMaster`] and others that say what is wrong with the configured link.
    pub fn find(self, socket: &mut Socket) -> Result<Link, Error> {
        let name = self.link_name(socket)?;
        self.existing(socket, &name)
    }

    /// A socket of the namespace that the link is in.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn socket(self, netns: &Netns) -> Result<Socket, Error> {
        Ok(if self.in_container { Socket::open_in(netns)? } else { Socket::open()? })
    }

    /// For CHECK: `link`, in the container at `netns`, sits on the link that this is. Without a name, that was once the default
    /// route's: any does then.
    ///
    /// # Errors
    /// [`Error::Differs`] if it sits on another, [`Error::NoMaster`] if there is none.
    pub fn check(self, netns: &Netns, link: &Link) -> Result<(), Error> {
        if self.name.is_none() {
            return Ok(());
        }
        let mut socket = self.socket(netns)?;
        let master = self.find(&mut socket)?;
        let found = if self.shares_numbers(netns, link)? { below(&mut socket, link)? } else { None };
        match found {
            Some(found) if found.index == master.index || share_parent(link, &master) => Ok(()),
            found => {
                let what = format!("the link under interface {} in the container", link.name);
                let found = found.map_or_else(|| "another link".to_owned(), |link| link.name);
                Err(Difference::new(what, master.name, found).into())
            }
        }
    }

    /// Whether what `link` sits on is where this link is, so that their numbers can be compared: each namespace has its own.
    fn shares_numbers(self, netns: &Netns, link: &Link) -> Result<bool, Error> {
        if self.in_container {
            return Ok(link.peer_netns_id.is_none());
        }
        let here = Netns::current()?;
        Ok(match link.peer_netns_id {
            Some(number) => Socket::open_in(netns)?.netns_number(&here)? == Some(number),
            None => *netns == here,
        })
    }

    /// For STATUS: the link, or what it would be, with index 0; `None` for one in a container, of which nothing is known.
    ///
    /// # Errors
    /// As [`Master::attach`].
    pub fn probe(self, socket: &mut Socket) -> Result<Option<Link>, Error> {
        if self.in_container {
            return Ok(None);
        }
        let name = self.link_name(socket)?;
        match (find(socket, &name)?, self.tagged(&name)) {
            (None, Some(tagged)) => tagged::probe(socket, &tagged).map(Some),
            (Some(link), _) => Ok(Some(link)),
            (None, None) => Err(self.missing(&name)),
        }
    }

    fn link_name(self, socket: &mut Socket) -> Result<LinkName, Error> {
        self.name.map_or_else(|| default_route_link(socket), |name| Ok(name.clone()))
    }

    /// What to make if there is no such link.
    fn tagged(self, name: &LinkName) -> Option<Tagged> {
        if self.in_container { None } else { Tagged::from_name(name.as_str()) }
    }

    fn existing(self, socket: &mut Socket, name: &LinkName) -> Result<Link, Error> {
        find(socket, name)?.ok_or_else(|| self.missing(name))
    }

    fn missing(self, name: &LinkName) -> Error {
        let (key, name) = (self.key, name.clone());
        match name.as_str().rsplit_once('.') {
            _ if self.in_container => Error::NotInContainer { key, name },
            Some((_nic, tag)) if self.tagged(&name).is_none() && tag.parse::<u32>().is_ok() => {
                Error::NoTag { key, tag: tag.to_owned(), name }
            }
            _ => Error::NoMaster { key, name },
        }
    }
}

/// The link below another one (`IFLA_LINK`), such as a VLAN's NIC; `None` if there is none, or it is gone.
fn below(socket: &mut Socket, link: &Link) -> Result<Option<Link>, Error> {
    let Some(index) = link.peer_index else { return Ok(None) };
    Ok(if_found(socket.link(index))?)
}

/// A link on a macvlan or ipvlan link sits on what that sits on.
fn share_parent(link: &Link, master: &Link) -> bool {
    let collapses = matches!(link.kind.as_deref(), Some("macvlan" | "ipvlan"));
    collapses && master.kind == link.kind && master.peer_index == link.peer_index
}

/// The tag in a link's name, as in `eth0.20`.
#[must_use]
pub fn tag_in(name: &LinkName) -> Option<VlanId> {
    Tagged::from_name(name.as_str()).map(|tagged| tagged.tag)
}

/// For a key that names a link, whose empty text means that there is none.
///
/// # Errors
/// Whatever cannot be a link's name.
pub fn name_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LinkName>, D::Error> {
    cni_plugin::json::unless_empty(deserializer)
}

impl fmt::Display for Tagged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.nic, self.tag)
    }
}

impl Tagged {
    /// What `eth0.20` says; a name that ends in no tag is just a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let (nic, tag) = name.rsplit_once('.')?;
        let is_canonical = !tag.starts_with(['0', '+']) && !nic.is_empty();
        let tag = tag.parse().ok().filter(|_| is_canonical).and_then(VlanId::new)?;
        Some(Self { nic: nic.to_owned(), tag })
    }
}

/// The link, held for the attachment while no other process can take it away, and made if need be.
fn hold(
    socket: &mut Socket,
    name: &LinkName,
    tagged: &Tagged,
    attachment: &Attachment,
    undo: &mut Undo,
) -> Result<Link, Error> {
    let holders = Holders::lock()?;
    // Before the lock, another process may have made it or taken it away.
    let found = find(socket, name)?;
    if let Some(link) = found.as_ref().filter(|link| !tagged::is_ours(link)) {
        return Ok(link.clone());
    }
    if holders.hold(name.as_str(), attachment, "")? {
        undo_holding(name.as_str(), attachment, undo);
    }
    match found {
        Some(link) => tagged::ensure_up(socket, link),
        None => tagged::create(socket, name.as_str(), tagged),
    }
}

pub(crate) fn undo_holding(link: &str, attachment: &Attachment, undo: &mut Undo) {
    let holder = attachment.clone();
    undo.push(format!("let go of link {link}"), move || detach(&holder));
}

fn find(socket: &mut Socket, name: &LinkName) -> Result<Option<Link>, Error> {
    if_found(socket.link(name.as_str()))?.map(require_tag).transpose()
}

/// A link named `eth0.20` that an administrator has made is a link of VLAN 20, if it is one of a VLAN.
fn require_tag(link: Link) -> Result<Link, Error> {
    match (Tagged::from_name(&link.name), link.options) {
        (Some(tagged), Some(LinkKind::Vlan { id })) if tagged.tag.get() != id => {
            Err(Error::Misnamed { link: link.name, named: tagged.tag, found: id })
        }
        _ => Ok(link),
    }
}

/// The link of the default route: of those of IPv4 that with the lowest metric, else of IPv6's.
fn default_route_link(socket: &mut Socket) -> Result<LinkName, Error> {
    for family in [Family::V4, Family::V6] {
        let routes = socket.routes(family, None, table::MAIN)?;
        let best = routes.iter().filter(|route| route.is_default()).min_by_key(|route| route.priority.unwrap_or(0));
        if let Some(index) = best.and_then(|route: &Route| route.link) {
            let name = socket.link(index)?.name;
            return LinkName::new(name.as_str()).map_err(|_| Error::NoDefaultRoute);
        }
    }
    Err(Error::NoDefaultRoute)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_tag_is_a_nic_and_a_tag() {
        let nic_and_tag = |name| Tagged::from_name(name).map(|tagged| (tagged.nic, tagged.tag.get()));
        assert_eq!(nic_and_tag("eth0.20"), Some(("eth0".to_owned(), 20)));
        assert_eq!(nic_and_tag("eth0.20.30"), Some(("eth0.20".to_owned(), 30)));
        for name in ["eth0", "eth0.", "eth0.0", "eth0.4095", "eth0.020", "eth0.+2", ".20", "eth0.x"] {
            assert_eq!(nic_and_tag(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_made_is_told_from_one_that_is_not_there() {
        let missing = |in_container, name: &str| {
            let name = LinkName::new(name).unwrap();
            Master { key: "master", name: Some(&name), in_container }.missing(&name)
        };
        for name in ["eth0.4095", "eth0.0", "eth0.020"] {
            assert!(matches!(missing(false, name), Error::NoTag { .. }), "{name}");
        }
        for name in ["eth0", "eth0.x", "eth0.20"] {
            assert!(matches!(missing(false, name), Error::NoMaster { .. }), "{name}");
        }
        assert!(matches!(missing(true, "eth0.4095"), Error::NotInContainer { .. }));
    }
}
