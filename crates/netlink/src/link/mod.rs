//! Links: what they are ([`Link`]), how they are made ([`Veth`], [`Bridge`], [`NewLink`]) and changed ([`LinkChange`]).

pub(crate) mod bridge_vlan;
mod change;
mod create;
mod delete;
mod kind;
mod read;
mod statistics;

use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use crate::error::{Error, Request, Result};
use crate::link_ref::{LinkRef, MAX_ALIAS_LEN, MAX_NAME_LEN, RTM_GETLINK};
use crate::mac::{HardwareAddress, Mac};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

pub use bridge_vlan::PortVlans;
pub use change::LinkChange;
pub(crate) use change::push_change;
pub use create::{Bridge, CreatedVeth, Peer, Veth};
pub use kind::{IpvlanIsolation, IpvlanMode, LinkKind, MacvlanMode, NewLink};
pub(crate) use read::read;
pub use statistics::Statistics;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_NEWLINKPROP: u16 = 108;
const IFLA_ALT_IFNAME: u16 = 53;

/// Longest alternative name in bytes (`ALTIFNAMSIZ` without its NUL).
const MAX_ALTERNATIVE_NAME_LEN: usize = 127;

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name in its namespace; alternative names are not in it.
    pub name: String,
    /// It carries Ethernet frames, as most links do; the loopback does not.
    pub ethernet: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Its hardware address of whatever length.
    pub hardware_address: HardwareAddress,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// It is meant to be up (`IFF_UP`).
    pub up: bool,
    /// It is up and can carry packets (`IFF_RUNNING`): a veth's other end is up too, a bridge has a port.
    pub running: bool,
    /// It is up, and something is at the other end of its wire. `running` follows, when the kernel gets round to it.
    pub carrier: bool,
    /// The kernel has found it to be working (`IF_OPER_UP`, RFC 2863). It is told of nothing for some links (`IF_OPER_UNKNOWN`), a bridge that
    /// has never had a port among them.
    pub operational: bool,
    /// It was set to receive everything (`IFF_PROMISC`).
    pub promiscuous: bool,
    /// It was set to receive all multicasts (`IFF_ALLMULTI`).
    pub all_multicast: bool,
    /// How many packets may wait to be sent.
    pub tx_queue_len: u32,
    /// Index of the bridge (or bond, ...) it is a port of.
    pub master: Option<u32>,
    /// What it is: "veth", "bridge", ... A physical link has none.
    pub kind: Option<String>,
    /// The options of its kind, if [`LinkKind`] knows the kind.
    pub options: Option<LinkKind>,
    /// Whose it is: our label.
    pub alias: Option<String>,
    /// Index of a veth's other end or of the link it sits on (`IFLA_LINK`).
    pub peer_index: Option<u32>,
    /// This namespace's number for the one `peer_index` counts in, if that is another one.
    pub peer_netns_id: Option<i32>,
    /// Whether it believes the routers it hears (`accept_ra`); `None` if it has no IPv6.
    pub accepts_routers: Option<bool>,
    /// Its options as a port of a bridge; `None` if it is none.
    pub bridge_port: Option<BridgePort>,
}

/// Options of a bridge port (`IFLA_BRPORT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgePort {
    /// Packets may leave through the port they came from.
    pub hairpin: bool,
    /// Isolated ports cannot talk to each other.
    pub isolated: bool,
}

impl Socket {
    /// Reads one link.
    ///
    /// # Errors
    /// [`Error::LinkNotFound`], or the kernel's refusal.
    pub fn link(&mut self, link: impl Into<LinkRef>) -> Result<Link> {
        self.link_after(Outgoing::default(), &link.into())
    }

    /// Sends requests, and with them reads one link.
    fn link_after(&mut self, outgoing: Outgoing, link: &LinkRef) -> Result<Link> {
        let mut message = message_for(link)?;
        message.attributes.push(without_statistics());
        self.get_after(outgoing, Request::GetLink(link.clone()), RTM_GETLINK, &message, read)
    }

    /// All links of the namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        self.list(None, |_| true)
    }

    /// The ports of the link with index `master`.
    ///
    /// # Errors
    /// The kernel's refusal; a master that does not exist has no ports.
    pub fn links_with_master(&mut self, master: u32) -> Result<Vec<Link>> {
        self.list(Some(LinkAttribute::Controller(master)), |link| link.master == Some(master))
    }

    /// The links of `kind` that sit on the link with index `parent`, as far as they are in this namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links_on(&mut self, parent: u32, kind: LinkKind) -> Result<Vec<Link>> {
        let sits_on_it = |link: &Link| link.peer_index == Some(parent) && link.peer_netns_id.is_none();
        self.list(Some(kind.filter()), |link| link.kind.as_deref() == Some(kind.name()) && sits_on_it(link))
    }

    fn list(&mut self, filter: Option<LinkAttribute>, wanted: impl Fn(&Link) -> bool) -> Result<Vec<Link>> {
        let mut message = LinkMessage::default();
        message.attributes.push(without_statistics());
        message.attributes.extend(filter);
        self.dump(&Request::ListLinks, RTM_GETLINK, &message, |message| {
            if message.kind == RTM_NEWLINK { Ok(Some(read(message)?).filter(&wanted)) } else { Ok(None) }
        })
    }
}

/// A link's counters are larger than all the rest of it: [`Socket::links_with_statistics`] alone reads them.
fn without_statistics() -> LinkAttribute {
    LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])
}

pub(crate) fn push_get(outgoing: &mut Outgoing, link: &LinkRef) -> Result<()> {
    let mut message = message_for(link)?;
    message.attributes.push(without_statistics());
    outgoing.push(Request::GetLink(link.clone()), RTM_GETLINK, 0, &message);
    Ok(())
}

pub(crate) fn push_delete(outgoing: &mut Outgoing, link: &LinkRef) -> Result<()> {
    outgoing.push(Request::DeleteLink(link.clone()), RTM_DELLINK, 0, &message_for(link)?);
    Ok(())
}

/// A message that is about `link` and says nothing yet.
fn message_for(link: &LinkRef) -> Result<LinkMessage> {
    let mut message = LinkMessage::default();
    match link {
        // The kernel takes index 0 to mean "look at the name", or worse, "all".
        LinkRef::Index(0) => return Err(Error::LinkNotFound { link: link.clone() }),
        LinkRef::Index(index) => message.header.index = *index,
        LinkRef::Name(name) => {
            message.attributes.push(name_attribute(name)?);
        }
    }
    Ok(message)
}

/// What is longer than a name can only be an alternative one. The kernel looks shorter ones up under both.
fn name_attribute(name: &str) -> Result<LinkAttribute> {
    if name.len() <= MAX_NAME_LEN || name.len() > MAX_ALTERNATIVE_NAME_LEN || name.contains('\0') {
        check_name(name)?;
        return Ok(LinkAttribute::IfName(name.to_owned()));
    }
    Ok(LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, name.as_bytes().to_vec())))
}

/// The kernel's own rules (`dev_valid_name`, net/core/dev.c), applied before a longer name would be cut or
/// a `%d` filled in.
fn check_name(name: &str) -> Result<()> {
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it would be a directory of /proc/sys/net",
        _ if name.len() > MAX_NAME_LEN => "it is longer than 15 bytes",
        _ if name.contains(['/', ':', '%', '\0']) => "it contains one of / : % or NUL",
        _ if name.contains(|character: char| character.is_whitespace()) => "it contains white space",
        _ => return Ok(()),
    };
    Err(Error::InvalidName { name: name.to_owned(), reason })
}

fn check_alias(link: &LinkRef, alias: &str) -> Result<()> {
    if alias.len() > MAX_ALIAS_LEN || alias.contains('\0') {
        return Err(Error::InvalidAlias { link: link.clone(), length: alias.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::netns::Netns;

    #[test]
    fn names_the_kernel_would_refuse_or_alter_are_refused() {
        for name in ["", ".", "..", "sixteen-bytes-xx", "a/b", "a:b", "veth%d", "a b", "a\tb", "a\0b"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["lo", "eth0.100", "fifteen-bytes-x", "émoji"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn an_alias_has_at_most_255_bytes() {
        assert!(check_alias(&LinkRef::Index(1), &"x".repeat(255)).is_ok());
        assert!(check_alias(&LinkRef::Index(1), &"x".repeat(256)).is_err());
        assert!(check_alias(&LinkRef::Index(1), "a\0b").is_err());
    }

    /// More links than fit the datagrams that the kernel fills ahead.
    const LINKS: usize = 150;

    #[test]
    fn an_interrupted_dump_starts_again() {
        let in_a_namespace_of_its_own = || {
            let (mut socket, other) = (Socket::open().expect("a socket"), Socket::open().expect("a socket"));
            for number in 0..LINKS {
                let name = &format!("br{number}");
                let bridge = Bridge { name, mac: None, mtu: None, up: false, vlan_filtering: false };
                socket.create_bridge(&bridge).expect("a bridge");
            }
            let (first, other) = (RefCell::new(Some("br0")), RefCell::new(other));
            let (request, all) = (Request::ListLinks, LinkMessage::default());
            let names = socket.dump(&request, RTM_GETLINK, &all, |message| {
                let name = read(message)?.name;
                if let Some(gone) = first.borrow_mut().take_if(|first| *first == name) {
                    other.borrow_mut().delete_link(gone)?;
                }
                Ok(Some(name))
            });
            let names = names.expect("a list");
            assert_eq!(names.len(), LINKS, "lo, and all bridges but the first");
            assert!(!names.contains(&"br0".to_owned()));
        };
        Netns::run_in_new(in_a_namespace_of_its_own).expect("a network namespace, for which this test needs root");
    }
}
