use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, InfoBridgePort, InfoPortData, InfoPortKind,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::error::{Error, Request, Result};
use crate::link::{RTM_NEWLINK, check_alias, check_name, message_for};
use crate::link_ref::LinkRef;
use crate::mac::Mac;
use crate::netns::Netns;
use crate::outgoing::Outgoing;

const IFLA_IFALIAS: u16 = 20;

/// What to change about a link, all in one message; `None` leaves a property as it is.
///
/// ```
/// # use netlink::LinkChange;
/// let change = LinkChange { up: Some(true), mtu: Some(1400), ..LinkChange::default() };
/// ```
///
/// The kernel goes through them in this order and stops at the first it cannot do: bridge port options, namespace,
/// MAC, MTU, name, alias, master, up or down and promiscuous, queue length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkChange<'a> {
    /// A new name; the link must be given by index.
    pub name: Option<&'a str>,
    /// Another namespace to move to, with the new name if there is one. Its index may be another there.
    pub netns: Option<&'a Netns>,
    /// Set it up or down (`IFF_UP`).
    pub up: Option<bool>,
    /// A new Ethernet address.
    pub mac: Option<Mac>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Whose the link is: our label. At most [`crate::MAX_ALIAS_LEN`] bytes.
    pub alias: Option<&'a str>,
    /// Receive packets for any hardware address (`IFF_PROMISC`).
    pub promiscuous: Option<bool>,
    /// Receive all multicast packets (`IFF_ALLMULTI`).
    pub all_multicast: Option<bool>,
    /// How many packets may wait to be sent.
    pub tx_queue_len: Option<u32>,
    /// Index of the bridge to become a port of; 0 to leave it.
    pub master: Option<u32>,
    /// Packets may leave through the port they came from. The link must already be a port of a bridge.
    pub hairpin: Option<bool>,
    /// Isolated ports cannot talk to each other. The link must already be a port of a bridge.
    pub isolated: Option<bool>,
    /// Give itself an IPv6 link-local address when it goes up (`addrgenmode`). Setting this together with
    /// `up` is too late: the kernel takes it last.
    pub ipv6_link_local: Option<bool>,
    /// Switch on `arp_notify`: when its Ethernet address is set, the link tells its IPv4 addresses to its neighbours. The
    /// sysctl of that name can be set without entering the namespace this way. The kernel takes it last as well.
    pub arp_notify: bool,
}

/// `RTM_NEWLINK` without `NLM_F_CREATE`: `RTM_SETLINK` silently ignores the options of a bridge port.
pub(crate) fn push_change(outgoing: &mut Outgoing, link: &LinkRef, change: &LinkChange<'_>) -> Result<()> {
    let mut message = message_for(link)?;
    append_name(&mut message, link, change.name)?;
    if let Some(alias) = change.alias {
        check_alias(link, alias)?;
        message.attributes.push(alias_attribute(alias));
    }
    message.attributes.extend(change.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    message.attributes.extend(change.mtu.map(LinkAttribute::Mtu));
    message.attributes.extend(change.tx_queue_len.map(LinkAttribute::TxQueueLen));
    message.attributes.extend(change.netns.map(|netns| LinkAttribute::NetNsFd(netns.raw_fd())));
    message.attributes.extend(change.master.map(LinkAttribute::Controller));
    let options: Vec<_> =
        change.ipv6_link_local.map(address_generation).into_iter().chain(change.arp_notify.then(arp_notify)).collect();
    if !options.is_empty() {
        message.attributes.push(LinkAttribute::AfSpecUnspec(options));
    }
    append_port_options(&mut message, change);
    set_flag(&mut message, LinkFlags::Up, change.up);
    set_flag(&mut message, LinkFlags::Promisc, change.promiscuous);
    set_flag(&mut message, LinkFlags::Allmulti, change.all_multicast);
    outgoing.push(Request::ChangeLink(link.clone()), RTM_NEWLINK, 0, &message);
    Ok(())
}

/// Without the NUL that ends other texts: the kernel would count it, so that one byte less had room, and an empty text would
/// not take the alias away (`ifla_policy`, net/core/rtnetlink.c).
fn alias_attribute(alias: &str) -> LinkAttribute {
    LinkAttribute::Other(DefaultNla::new(IFLA_IFALIAS, alias.as_bytes().to_vec()))
}

fn append_name(message: &mut LinkMessage, link: &LinkRef, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    check_name(name)?;
    if let LinkRef::Name(_) = link {
        let reason = "a link that is given by name cannot be renamed: give its index";
        return Err(Error::InvalidName { name: name.to_owned(), reason });
    }
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    Ok(())
}

fn append_port_options(message: &mut LinkMessage, change: &LinkChange<'_>) {
    let hairpin = change.hairpin.map(InfoBridgePort::HairpinMode);
    let options: Vec<_> = hairpin.into_iter().chain(change.isolated.map(InfoBridgePort::Isolated)).collect();
    if !options.is_empty() {
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(options)),
        ]));
    }
}

fn address_generation(link_local: bool) -> AfSpecUnspec {
    let mode = if link_local { In6AddrGenMode::Eui64 } else { In6AddrGenMode::None };
    AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)])
}

fn arp_notify() -> AfSpecUnspec {
    // A request names only what is not zero; the rest stays as it is.
    let mut options = InetDevConf::default();
    options.arp_notify = 1;
    AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(options)])
}

pub(super) fn set_flag(message: &mut LinkMessage, flag: LinkFlags, value: Option<bool>) {
    if let Some(value) = value {
        message.header.flags.set(flag, value);
        message.header.change_mask |= flag;
    }
}
