use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ip::Family;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteType as PacketRouteType,
};
use nix::libc;
use rtnetlink::RouteMessageBuilder;

use crate::error::{Error, Request, Result};
use crate::message::{Attribute, Attributes, Message, attributes, read_u16, read_u32};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
/// Length of `struct rtmsg`.
const HEADER_LEN: usize = 12;
/// Length of `struct rtnexthop`.
const HOP_LEN: usize = 8;
const WHAT: &str = "a route";
const RTPROT_KERNEL: u8 = 2;
const RTPROT_RA: u8 = 9;
const RTNH_F_ONLINK: u32 = 4;
const RTM_F_CLONED: u32 = 0x200;

/// Routing tables with a fixed meaning (`include/uapi/linux/rtnetlink.h`, `enum rt_class_t`).
pub mod table {
    /// Where routes go unless told otherwise.
    pub const MAIN: u32 = 254;
    /// The kernel's own: local and broadcast addresses.
    pub const LOCAL: u32 = 255;
}

/// Scopes of IPv4 routes and addresses (`include/uapi/linux/rtnetlink.h`, `enum rt_scope_t`).
pub mod scope {
    /// Anywhere, through a gateway.
    pub const UNIVERSE: u8 = 0;
    /// Hosts directly on the link, without a gateway.
    pub const LINK: u8 = 253;
    /// Addresses of this host.
    pub const HOST: u8 = 254;
    /// Nowhere: in a deletion it stands for any scope.
    pub(crate) const NOWHERE: u8 = 255;
}

/// What happens to a packet that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouteType {
    /// It is forwarded to the gateway, or to the destination on the link.
    #[default]
    Unicast,
    /// It is delivered to this host.
    Local,
    /// It is dropped silently.
    Blackhole,
    /// It is dropped with an ICMP "unreachable".
    Unreachable,
    /// It is dropped with an ICMP "prohibited".
    Prohibit,
    /// Any other type, by its number (`RTN_*`).
    Other(u8),
}

impl RouteType {
    fn number(self) -> u8 {
        match self {
            RouteType::Unicast => 1,
            RouteType::Local => 2,
            RouteType::Blackhole => 6,
            RouteType::Unreachable => 7,
            RouteType::Prohibit => 8,
            RouteType::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => RouteType::Unicast,
            2 => RouteType::Local,
            6 => RouteType::Blackhole,
            7 => RouteType::Unreachable,
            8 => RouteType::Prohibit,
            number => RouteType::Other(number),
        }
    }
}

/// A route, to be added or deleted or as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to; a prefix length of 0 makes a default route.
    pub destination: IpNetwork,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// Index of the link it leaves through.
    pub link: Option<u32>,
    /// The source address that this host's own packets get.
    pub source: Option<IpAddr>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// TCP's largest segment as announced to the other side, in bytes.
    pub advmss: Option<u32>,
    /// The metric: the lowest wins. `None` is 0 in IPv4 and 1024 in IPv6.
    pub priority: Option<u32>,
    /// The routing table: see [`table`].
    pub table: u32,
    /// See [`scope`]; `None` lets [`Batch::add_route`](crate::Batch::add_route) choose as `ip route` does:
    /// host for a local route, link without a gateway, else universe. IPv6 has no scopes.
    pub scope: Option<u8>,
    /// The gateway is on the link even if no route says so.
    pub onlink: bool,
    /// What happens to packets that match (`RTN_*`).
    pub kind: RouteType,
    /// Which program made it (`RTPROT_*`, or a number above 100 of its own); that of the administrator (`RTPROT_STATIC`) for `None`.
    pub protocol: Option<u8>,
    /// The kernel made it, for an address of the link (`RTPROT_KERNEL`), and will again; only read.
    pub is_kernels: bool,
    /// A router on the link said so (`RTPROT_RA`); only read.
    pub is_advertised: bool,
}

impl Route {
    /// A route to `destination` in the main table, as yet without a way there.
    #[must_use]
    pub fn new(destination: IpNetwork) -> Self {
        Route {
            destination,
            gateway: None,
            link: None,
            source: None,
            mtu: None,
            advmss: None,
            priority: None,
            table: table::MAIN,
            scope: None,
            onlink: false,
            kind: RouteType::Unicast,
            protocol: None,
            is_kernels: false,
            is_advertised: false,
        }
    }

    /// The default route of the gateway's family through `gateway` on the link with index `link`.
    #[must_use]
    pub fn default_via(gateway: IpAddr, link: u32) -> Self {
        let destination = default_destination(Family::of(gateway));
        Route { gateway: Some(gateway), link: Some(link), ..Route::new(destination) }
    }

    /// Whether it matches every address of its family.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.destination.prefix() == 0
    }

    fn default_scope(&self) -> u8 {
        match self.kind {
            RouteType::Local => scope::HOST,
            RouteType::Unicast if self.gateway.is_none() => scope::LINK,
            _ => scope::UNIVERSE,
        }
    }

    fn check_families(&self) -> Result<()> {
        let wrong = [self.gateway, self.source]
            .into_iter()
            .flatten()
            .find(|address| address.is_ipv4() != self.destination.is_ipv4());
        wrong.map_or(Ok(()), |address| Err(Error::MixedFamilies { destination: self.destination, address }))
    }
}

/// 0.0.0.0/0 or ::/0.
fn default_destination(family: Family) -> IpNetwork {
    const V4: Option<Ipv4Network> = Ipv4Network::new_checked(Ipv4Addr::UNSPECIFIED, 0);
    const V6: Option<Ipv6Network> = Ipv6Network::new_checked(Ipv6Addr::UNSPECIFIED, 0);
    match family {
        Family::V4 => const { IpNetwork::V4(V4.expect("0 is a prefix length")) },
        Family::V6 => const { IpNetwork::V6(V6.expect("0 is a prefix length")) },
    }
}

impl Socket {
    /// The routes of one family and table, through the link with index `link` or any.
    ///
    /// # Errors
    /// The kernel's refusal; a table that does not exist is empty.
    pub fn routes(&mut self, family: Family, link: Option<u32>, table: u32) -> Result<Vec<Route>> {
        self.list_routes(family, link, Some(table))
    }

    /// The routes of one family in every table, through the link with index `link` or any.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn routes_in_all_tables(&mut self, family: Family, link: Option<u32>) -> Result<Vec<Route>> {
        self.list_routes(family, link, None)
    }

    fn list_routes(&mut self, family: Family, link: Option<u32>, table: Option<u32>) -> Result<Vec<Route>> {
        let message = list_message(family, link, table);
        let wanted =
            |route: &Route| table.is_none_or(|table| route.table == table) && (link.is_none() || route.link == link);
        match self.dump(&Request::ListRoutes, RTM_GETROUTE, &message, |message| read_parallel(message).map(Some)) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            listed => Ok(listed?.into_iter().flatten().filter(wanted).collect()),
        }
    }

    /// The route that a packet to `address` takes now, all tables and rules considered.
    ///
    /// # Errors
    /// The kernel's refusal, `ENETUNREACH` if there is none.
    pub fn route_to(&mut self, address: IpAddr) -> Result<Route> {
        let host = IpNetwork::from(address);
        let mut message = route_message(&Route::new(host), scope::UNIVERSE)?;
        // A look-up takes the destination and nothing else (strict checking, net/ipv4/route.c).
        message.attributes.retain(|attribute| matches!(attribute, RouteAttribute::Destination(_)));
        message.header.destination_prefix_length = host.prefix();
        message.header.protocol = RouteProtocol::Unspec;
        message.header.kind = PacketRouteType::Unspec;
        self.get(Request::FindRoute { address }, RTM_GETROUTE, &message, |answer| {
            read_any(answer)?.ok_or(Error::Malformed { what: "a route" })
        })
    }
}

fn list_message(family: Family, link: Option<u32>, table: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message.attributes.extend(table.map(RouteAttribute::Table));
    message.attributes.extend(link.map(RouteAttribute::Oif));
    message
}

/// Asks for the IPv6 routes through the link with index `link`, among them those that make packets this host's own: of a port of a VRF
/// these are in that one's table.
pub(crate) fn push_list_local(outgoing: &mut Outgoing, link: u32) {
    const NLM_F_DUMP: u16 = 0x300;
    let message = list_message(Family::V6, Some(link), None);
    outgoing.push(Request::ListRoutes, RTM_GETROUTE, NLM_F_DUMP, &message);
}

pub(crate) fn push_add(outgoing: &mut Outgoing, route: &Route, flags: u16) -> Result<()> {
    let message = route_message(route, route.scope.unwrap_or_else(|| route.default_scope()))?;
    let request = Request::AddRoute { destination: route.destination, gateway: route.gateway };
    outgoing.push(request, RTM_NEWROUTE, flags, &message);
    Ok(())
}

pub(crate) fn push_delete(outgoing: &mut Outgoing, route: &Route) -> Result<()> {
    let mut message = route_message(route, route.scope.unwrap_or(scope::NOWHERE))?;
    message.header.protocol = RouteProtocol::Unspec;
    let request = Request::DeleteRoute { destination: route.destination, gateway: route.gateway };
    outgoing.push(request, RTM_DELROUTE, 0, &message);
    Ok(())
}

fn route_message(route: &Route, scope: u8) -> Result<RouteMessage> {
    route.check_families()?;
    let mut message = match route.destination {
        IpNetwork::V4(to) => {
            RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to.network(), to.prefix()).build()
        }
        IpNetwork::V6(to) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to.network(), to.prefix()).build()
        }
    };
    message.header.scope = scope.into();
    message.header.kind = PacketRouteType::from(route.kind.number());
    if let Some(protocol) = route.protocol {
        message.header.protocol = protocol.into();
    }
    if route.onlink {
        message.header.flags |= netlink_packet_route::route::RouteFlags::Onlink;
    }
    // The header has room for tables up to 255 only; the attribute wins over it.
    message.header.table = 0;
    message.attributes.push(RouteAttribute::Table(route.table));
    message.attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(route_address(gateway))));
    message.attributes.extend(route.link.map(RouteAttribute::Oif));
    message.attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(route_address(source))));
    message.attributes.extend(route.priority.map(RouteAttribute::Priority));
    let metrics: Vec<_> =
        route.mtu.map(RouteMetric::Mtu).into_iter().chain(route.advmss.map(RouteMetric::Advmss)).collect();
    if !metrics.is_empty() {
        message.attributes.push(RouteAttribute::Metrics(metrics));
    }
    Ok(message)
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

/// Reads an `RTM_NEWROUTE`; `None` for other messages, other families and copies that the kernel made for one
/// destination.
pub(crate) fn read(message: &Message<'_>) -> Result<Option<Route>> {
    let is_copy = message
        .body
        .get(8..12)
        .is_some_and(|flags| flags.try_into().is_ok_and(|flags| u32::from_ne_bytes(flags) & RTM_F_CLONED != 0));
    if message.kind != RTM_NEWROUTE || is_copy { Ok(None) } else { read_any(message) }
}

/// As [`read`], but what the kernel lists as one route with several ways is several: IPv6 makes that of parallel routes
/// that were added one by one (`rt6_fill_node`, net/ipv6/route.c).
fn read_parallel(message: &Message<'_>) -> Result<Vec<Route>> {
    let Some(route) = read(message)? else { return Ok(Vec::new()) };
    let mut ways = Vec::new();
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        if attribute.kind == RTA_MULTIPATH {
            read_ways(attribute.value, &route, &mut ways)?;
        }
    }
    Ok(if ways.is_empty() { vec![route] } else { ways })
}

/// `struct rtnexthop` after `struct rtnexthop`, each followed by its attributes.
fn read_ways(mut hops: &[u8], shared: &Route, ways: &mut Vec<Route>) -> Result<()> {
    const MALFORMED: Error = Error::Malformed { what: WHAT };
    while !hops.is_empty() {
        let length = usize::from(read_u16(hops, 0).ok_or(MALFORMED)?);
        let link = read_u32(hops, 4).ok_or(MALFORMED)?;
        let mut way = Route { link: Some(link), ..shared.clone() };
        for attribute in Attributes::new(hops.get(HOP_LEN..length).ok_or(MALFORMED)?, WHAT) {
            read_attribute(&attribute?, 0, &mut way)?;
        }
        ways.push(way);
        hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

fn read_any(message: &Message<'_>) -> Result<Option<Route>> {
    let &[family, prefix, _source_len, _tos, table, protocol, scope, kind, f0, f1, f2, f3, ..] = message.body else {
        return Err(Error::Malformed { what: WHAT });
    };
    let family = match i32::from(family) {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return Ok(None),
    };
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut route = Route {
        table: u32::from(table),
        scope: Some(scope),
        onlink: flags & RTNH_F_ONLINK != 0,
        kind: RouteType::from_number(kind),
        protocol: Some(protocol),
        is_kernels: protocol == RTPROT_KERNEL,
        is_advertised: protocol == RTPROT_RA,
        ..Route::new(default_destination(family))
    };
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        read_attribute(&attribute?, prefix, &mut route)?;
    }
    Ok(Some(route))
}

fn read_attribute(attribute: &Attribute<'_>, prefix: u8, route: &mut Route) -> Result<()> {
    match attribute.kind {
        RTA_DST => {
            route.destination =
                IpNetwork::new(attribute.ip()?, prefix).map_err(|_| Error::Malformed { what: "a route's prefix" })?;
        }
        RTA_OIF => route.link = Some(attribute.u32()?),
        RTA_GATEWAY => route.gateway = Some(attribute.ip()?),
        RTA_PRIORITY => route.priority = Some(attribute.u32()?),
        RTA_PREFSRC => route.source = Some(attribute.ip()?),
        RTA_TABLE => route.table = attribute.u32()?,
        RTA_METRICS => read_metrics(attribute, route)?,
        _ => {}
    }
    Ok(())
}

fn read_metrics(metrics: &Attribute<'_>, route: &mut Route) -> Result<()> {
    for metric in metrics.nested() {
        let metric = metric?;
        match metric.kind {
            RTAX_MTU => route.mtu = Some(metric.u32()?),
            RTAX_ADVMSS => route.advmss = Some(metric.u32()?),
            _ => {}
        }
    }
    Ok(())
}
