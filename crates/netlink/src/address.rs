use std::net::IpAddr;

use ip::Family;
use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::AddressMessageBuilder;

use crate::error::{Error, Request, Result};
use crate::message::{Message, attributes, read_u32};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// In a list's filter: of every link.
const ALL_LINKS: u32 = 0;
/// Length of `struct ifaddrmsg`.
const HEADER_LEN: usize = 8;

const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_PERMANENT: u32 = 0x80;

/// An address to be given to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSpec {
    /// Index of the link that gets it.
    pub link: u32,
    /// Address and prefix length; the bits after the prefix are the host's.
    pub network: IpNetwork,
    /// IPv6: ask the link for another owner before using the address, which takes about a second. Off by
    /// default: the address was allocated, so no other host has it.
    pub detect_duplicates: bool,
    /// Let the kernel add the route to the prefix over this link, as it normally does.
    pub prefix_route: bool,
}

impl AddressSpec {
    /// An address that can be used at once, with its prefix route.
    #[must_use]
    pub fn new(link: u32, network: IpNetwork) -> Self {
        AddressSpec { link, network, detect_duplicates: false, prefix_route: true }
    }
}

/// An address that a link has, as the kernel lists it (`RTM_GETADDR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Index of the link that has it.
    pub link: u32,
    /// Address and prefix length.
    pub network: IpNetwork,
    /// As the kernel numbers scopes: see [`crate::scope`].
    pub scope: u8,
    /// IPv4: not the first of its prefix, so it goes when the first goes. IPv6: a temporary address.
    pub secondary: bool,
    /// IPv6: duplicate address detection has not ended, and the address cannot be used yet.
    pub tentative: bool,
    /// IPv6: another host has this address.
    pub duplicate: bool,
    /// It expires unless it is renewed, by a router or a DHCP client.
    pub expires: bool,
}

impl Socket {
    /// The addresses of all links, both families.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn all_addresses(&mut self) -> Result<Vec<Address>> {
        self.list_addresses(ALL_LINKS, AddressFamily::Unspec)
    }

    /// The addresses of the link with index `link`, both families.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such link.
    pub fn addresses(&mut self, link: u32) -> Result<Vec<Address>> {
        self.list_addresses(link, AddressFamily::Unspec)
    }

    /// The addresses of one family, which is cheaper: the kernel has a list for each.
    ///
    /// # Errors
    /// As [`Socket::addresses`].
    pub fn addresses_of(&mut self, link: u32, family: Family) -> Result<Vec<Address>> {
        match family {
            Family::V4 => self.list_addresses(link, AddressFamily::Inet),
            Family::V6 => self.list_addresses(link, AddressFamily::Inet6),
        }
    }

    fn list_addresses(&mut self, link: u32, family: AddressFamily) -> Result<Vec<Address>> {
        let request = Request::ListAddresses { link: link.into() };
        self.dump(&request, RTM_GETADDR, &list_message(link, family), |message| {
            Ok(read(message)?.filter(|address| link == ALL_LINKS || address.link == link))
        })
    }
}

pub(crate) fn push_list(outgoing: &mut Outgoing, link: u32) {
    const NLM_F_DUMP: u16 = 0x300;
    outgoing.push(
        Request::ListAddresses { link: link.into() },
        RTM_GETADDR,
        NLM_F_DUMP,
        &list_message(link, AddressFamily::Unspec),
    );
}

fn list_message(link: u32, family: AddressFamily) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family;
    message.header.index = link;
    message
}

pub(crate) fn push_add(outgoing: &mut Outgoing, address: &AddressSpec, flags: u16) {
    let mut message = address_message(address.link, address.network);
    let mut address_flags = AddressFlags::empty();
    if address.network.is_ipv6() && !address.detect_duplicates {
        address_flags |= AddressFlags::Nodad;
    }
    if !address.prefix_route {
        address_flags |= AddressFlags::Noprefixroute;
    }
    if !address_flags.is_empty() {
        message.attributes.push(AddressAttribute::Flags(address_flags));
    }
    let request = Request::AddAddress { link: address.link.into(), network: address.network };
    outgoing.push(request, RTM_NEWADDR, flags, &message);
}

pub(crate) fn push_delete(outgoing: &mut Outgoing, link: u32, network: IpNetwork) {
    let request = Request::DeleteAddress { link: link.into(), network };
    outgoing.push(request, RTM_DELADDR, 0, &address_message(link, network));
}

fn address_message(link: u32, network: IpNetwork) -> AddressMessage {
    match network {
        IpNetwork::V4(network) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
            .index(link)
            .address(network.ip(), network.prefix())
            .build(),
        IpNetwork::V6(network) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
            .index(link)
            .address(network.ip(), network.prefix())
            .build(),
    }
}

/// Reads an `RTM_NEWADDR`; `None` for other messages and other families.
pub(crate) fn read(message: &Message<'_>) -> Result<Option<Address>> {
    const WHAT: &str = "an address";
    let &[_family, prefix, flags, scope, ..] = message.body else {
        return Err(Error::Malformed { what: WHAT });
    };
    let link = read_u32(message.body, 4).ok_or(Error::Malformed { what: WHAT })?;
    let mut flags = u32::from(flags);
    let (mut local, mut address) = (None, None);
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            IFA_LOCAL => local = Some(attribute.ip()?),
            IFA_ADDRESS => address = Some(attribute.ip()?),
            IFA_FLAGS => flags = attribute.u32()?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL ours.
    let ip: Option<IpAddr> = local.or(address);
    let network = ip.and_then(|ip| IpNetwork::new(ip, prefix).ok());
    Ok(network.filter(|_| message.kind == RTM_NEWADDR).map(|network| Address {
        link,
        network,
        scope,
        secondary: flags & IFA_F_SECONDARY != 0,
        tentative: flags & IFA_F_TENTATIVE != 0,
        duplicate: flags & IFA_F_DADFAILED != 0,
        expires: flags & IFA_F_PERMANENT == 0,
    }))
}
