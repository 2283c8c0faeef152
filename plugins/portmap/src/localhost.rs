//! Published ports on 127.0.0.1 and ::1.
//!
//! The kernel drops packets from 127.0.0.1 that leave through a real interface, unless `route_localnet` allows it there.
//! That would also let neighbours on that interface reach services on the host's loopback (CVE-2020-8558), so it is switched
//! on only behind the ruleset's filter, which drops what comes from or goes to 127.0.0.0/8 and did not start on `lo`; only on a
//! link that leads to the container, never on one to the outside that its address happens to be routed through; and it is
//! switched off with the last port behind that link.
//!
//! Rules can be flushed, and then `route_localnet` would stand open. So the link has a guard of its own, a filter of traffic control,
//! which drops the same before the packet filter sees it ([`Socket::guard_loopback`]).
//!
//! For ::1 there is no such switch. There the kernel refuses the answers, because it looks for ::1 on the interface they came
//! through; a local route to ::1 on that interface lets it find them. Neighbours gain nothing by it: a packet that arrives
//! from or for ::1 is dropped before anything looks at routes (`ip6_rcv_core`, net/ipv6/ip6_input.c).

use std::net::{IpAddr, Ipv6Addr};

use cni_plugin::{Attachment, IpConfig};
use container_interface::veth;
use ipnetwork::IpNetwork;
use netlink::{Family, IngressFilter, Link, Route, RouteType, Socket, if_found, table};
use nftables::Ruleset;
use suite::Labelled as _;

use crate::published::Published;
use crate::{Error, Method};

/// Worse than that of the kernel's own route to ::1 on `lo`, so that everything else goes on as before.
const BEHIND_LO: u32 = 4096;

/// Lets the host reach published ports through its loopback addresses. Without `snat` the answers could not come back.
pub(crate) fn open(published: &Published<'_>, method: &Method) -> Result<(), Error> {
    if published.config.snat { open_each(published, method, published.serving()).map(drop) } else { Ok(()) }
}

/// What lets the host's loopback addresses lead to published ports, found out once for many attachments.
#[derive(Debug, Default)]
pub struct Loopback {
    is_filtered: bool,
    /// The links that are open, each for a family.
    links: Vec<(Family, String)>,
}

impl Loopback {
    /// Opens what an ADD opens, behind the filter: where that is missing, neighbours reach the host's loopback.
    pub(crate) fn restore(&mut self, published: &Published<'_>, method: &Method) -> Result<(), Error> {
        if !published.config.snat {
            return Ok(());
        }
        if !self.is_filtered && opens_ipv4(published) {
            make_filter(published)?;
            self.is_filtered = true;
        }
        let targets: Vec<_> = published.serving().filter(|target| !self.leads_to(published, target)).collect();
        if !targets.is_empty() {
            self.links.extend(open_each(published, method, targets)?);
        }
        Ok(())
    }

    /// Containers behind one link have one way. To look for it again would take longer than everything else.
    fn leads_to(&self, published: &Published<'_>, target: &IpConfig) -> bool {
        let is_way = |(family, link): &(Family, String)| {
            *family == Family::of(target.address.ip()) && published.ways.contains(link)
        };
        self.links.iter().any(is_way)
    }
}

fn open_each<'a>(
    published: &Published<'_>,
    method: &Method,
    targets: impl IntoIterator<Item = &'a IpConfig>,
) -> Result<Vec<(Family, String)>, Error> {
    let mut socket = Socket::open()?;
    let mut opened = Vec::new();
    for target in targets {
        let address = target.address.ip();
        let Some(link) = link_to(&mut socket, published, address)? else { continue };
        match address {
            IpAddr::V4(_) => open_ipv4(&mut socket, published, method, &link)?,
            IpAddr::V6(_) => open_ipv6(&mut socket, &link)?,
        }
        opened.push((Family::of(address), link.name));
    }
    Ok(opened)
}

/// The link to the container; none where the host has no way to it, or one through a link to others, as with macvlan, behind
/// a bridge that is no gateway, or where the address is of a subnet beyond.
fn link_to(socket: &mut Socket, published: &Published<'_>, address: IpAddr) -> Result<Option<Link>, Error> {
    let Some(link) = routed_through(socket, address)? else { return Ok(None) };
    Ok(if leads_to_container(socket, published, &link)? { Some(link) } else { None })
}

fn routed_through(socket: &mut Socket, address: IpAddr) -> Result<Option<Link>, Error> {
    match socket.route_to(address) {
        Err(error) if error.is_unreachable() => Ok(None),
        route => Ok(match route?.link {
            Some(index) => if_found(socket.link(index))?,
            None => None,
        }),
    }
}

/// The result lists the link, or it is the attachment's own or that one's bridge: results before 0.3.0 list nothing.
fn leads_to_container(socket: &mut Socket, published: &Published<'_>, link: &Link) -> Result<bool, Error> {
    if published.ways.contains(&link.name) {
        return Ok(true);
    }
    let own = if_found(socket.link(veth::host_name(published.attachment).as_str()))?;
    Ok(own.is_some_and(|own| own.index == link.index || own.master == Some(link.index)))
}

/// Takes the way back from the host's links to the container when no published port is left behind them. The container's own
/// link needs nothing: it goes.
pub(crate) fn close(attachment: &Attachment, published: Option<&Published<'_>>) -> Result<(), Error> {
    let mut socket = Socket::open()?;
    let own = if_found(socket.link(veth::host_name(attachment).as_str()))?;
    let mut links = Vec::new();
    if let Some(bridge) = own.as_ref().and_then(|own| own.master) {
        links.extend(if_found(socket.link(bridge))?);
    }
    for name in published.iter().flat_map(|published| &published.ways) {
        if links.iter().chain(&own).all(|link| link.name != *name) {
            links.extend(if_found(socket.link(name.as_str()))?);
        }
    }
    close_all_unused(&links)
}

/// The host's bridges, and links into VLANs of them, behind which containers have these addresses.
pub(crate) fn ways_to(addresses: &[IpAddr]) -> Result<Vec<Link>, Error> {
    let mut socket = Socket::open()?;
    let mut links: Vec<Link> = Vec::new();
    for address in addresses {
        let Some(link) = routed_through(&mut socket, *address)? else { continue };
        if is_shared(&link) && links.iter().all(|known| known.index != link.index) {
            links.push(link);
        }
    }
    Ok(links)
}

/// Closes each of the links behind which no published port is left.
pub(crate) fn close_all_unused(links: &[Link]) -> Result<(), Error> {
    let (mut socket, mut ruleset) = (Socket::open()?, Ruleset::open()?);
    links.iter().try_for_each(|link| close_unused(&mut socket, &mut ruleset, link))
}

/// Closes every link that is labelled as one of this suite's, whatever is behind it; says which were open.
pub(crate) fn close_all() -> Result<Vec<String>, Error> {
    let mut socket = Socket::open()?;
    let is_ours = |link: &Link| link.alias.as_deref().is_some_and(|alias| alias.starts_with(suite::PREFIX));
    let mut closed = Vec::new();
    for link in socket.links()?.into_iter().filter(is_ours) {
        let by_ipv4 = is_open(&link)?;
        if by_ipv4 {
            close_ipv4(&mut socket, &link)?;
        }
        let by_ipv6 = if_found(socket.delete_route(&loopback_behind(&link)))?.is_some();
        closed.extend((by_ipv4 || by_ipv6).then_some(link.name));
    }
    Ok(closed)
}

/// An ADD inserts its elements first and opens the link then: what this closes although one came in between, that one opens
/// again.
fn close_unused(socket: &mut Socket, ruleset: &mut Ruleset, link: &Link) -> Result<(), Error> {
    if is_open(link)? && !is_used(socket, ruleset, link, Family::V4)? {
        close_ipv4(socket, link)?;
        if is_used(socket, ruleset, link, Family::V4)? {
            open_guarded(socket, link, false)?;
        }
    }
    if !is_used(socket, ruleset, link, Family::V6)?
        && if_found(socket.delete_route(&loopback_behind(link)))?.is_some()
        && is_used(socket, ruleset, link, Family::V6)?
    {
        open_ipv6(socket, link)?;
    }
    Ok(())
}

/// The switch for IPv4.
fn route_localnet(link: &Link) -> [&str; 4] {
    ["ipv4", "conf", &link.name, "route_localnet"]
}

fn is_open(link: &Link) -> Result<bool, Error> {
    match sysctl::read(&route_localnet(link)) {
        Err(error) if error.is_not_found() => Ok(false),
        value => Ok(value? == "1"),
    }
}

/// Whether a container behind the link may have published ports.
fn is_used(socket: &mut Socket, ruleset: &mut Ruleset, link: &Link, family: Family) -> Result<bool, Error> {
    let addresses = if_found(socket.addresses_of(link.index, family))?.unwrap_or_default();
    let by_nftables = match ruleset.publishes_in(addresses.iter().map(|address| address.network)) {
        Err(error) if error.is_unsupported() => false,
        answer => answer?,
    };
    Ok(by_nftables || iptables::publishes(family)?)
}

fn open_ipv4(socket: &mut Socket, published: &Published<'_>, method: &Method, link: &Link) -> Result<(), Error> {
    // Inserting elements has made sure of the filter; where iptables translates, nothing has.
    if matches!(method, Method::Iptables(_)) {
        make_filter(published)?;
    }
    open_guarded(socket, link, published.leaves_ingress)
}

/// Where the kernel has no such guard, or another program's filter is in its place, the packet filter's is the only one.
fn open_guarded(socket: &mut Socket, link: &Link, leaves_ingress: bool) -> Result<(), Error> {
    let answer = nftables::LOOPBACK_ANSWER;
    let is_open = sysctl::read(&route_localnet(link))? == "1";
    if is_open && socket.guards_loopback(link.index, answer)? {
        return Ok(());
    }
    if (is_shared(link) || !leaves_ingress)
        && let Err(error) = socket.guard_loopback(link.index, answer)
        && !is_open
    {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        eprintln!(
            "portmap: {error}{cause}: if nftables' rules are flushed, nothing drops them until `ferrocni reload`"
        );
    }
    Ok(sysctl::write(&route_localnet(link), "1")?)
}

fn close_ipv4(socket: &mut Socket, link: &Link) -> Result<(), Error> {
    sysctl::write(&route_localnet(link), "0")?;
    if_found(socket.unguard_loopback(link.index, nftables::LOOPBACK_ANSWER))?;
    Ok(())
}

/// Whether many containers are behind the link. One of a single container goes with it.
fn is_shared(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("bridge" | "vlan"))
}

fn make_filter(published: &Published<'_>) -> Result<(), Error> {
    let mut ruleset = Ruleset::open()?;
    if !ruleset.guards_loopback()? {
        ruleset.repair(&published.attachment.label(), &[])?;
    }
    Ok(())
}

/// For CHECK: the filter stands, with either backend, and so does the link's own.
pub(crate) fn check(published: &Published<'_>) -> Result<(), Error> {
    if !opens_ipv4(published) {
        return Ok(());
    }
    if !Ruleset::open()?.guards_loopback()? {
        return Err(Error::Unguarded);
    }
    let mut socket = Socket::open()?;
    for target in published.serving().filter(|target| target.address.is_ipv4()) {
        if let Some(link) = link_to(&mut socket, published, target.address.ip())? {
            check_guard(&mut socket, link)?;
        }
    }
    Ok(())
}

/// What filters hang on stays when a filter goes. Where it is not there, an ADD could not make it, or an earlier version did not. And
/// where all that comes in is redirected, it may have been so before an ADD could add the guard.
fn check_guard(socket: &mut Socket, link: Link) -> Result<(), Error> {
    let is_enough = |filter: &IngressFilter| match filter {
        IngressFilter::LoopbackGuard { answer } => *answer == nftables::LOOPBACK_ANSWER,
        IngressFilter::Redirection { .. } => !is_shared(&link),
        IngressFilter::Other => false,
    };
    let lacks_guard = !socket.ingress_filters(link.index)?.iter().any(is_enough) && socket.has_ingress(link.index)?;
    if lacks_guard { Err(Error::UnguardedLink { link: link.name }) } else { Ok(()) }
}

fn opens_ipv4(published: &Published<'_>) -> bool {
    published.config.snat && published.serving().any(|target| target.address.is_ipv4())
}

fn loopback_behind(link: &Link) -> Route {
    Route {
        link: Some(link.index),
        table: table::LOCAL,
        priority: Some(BEHIND_LO),
        kind: RouteType::Local,
        ..Route::new(IpNetwork::from(IpAddr::V6(Ipv6Addr::LOCALHOST)))
    }
}

fn open_ipv6(socket: &mut Socket, link: &Link) -> Result<(), Error> {
    match socket.add_route(&loopback_behind(link)) {
        Err(error) if !error.is_exists() => Err(error.into()),
        _ => Ok(()),
    }
}
