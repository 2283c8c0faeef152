//! Published ports on 127.0.0.1 and ::1.
//!
//! The kernel drops packets from 127.0.0.1 that leave through a real interface, unless `route_localnet` allows it there.
//! That would also let neighbours on that interface reach services on the host's loopback (CVE-2020-8558), so it is switched
//! on only behind the ruleset's filter, which drops what comes from or goes to 127.0.0.0/8 and did not start on `lo`.
//!
//! For ::1 there is no such switch. There the kernel refuses the answers, because it looks for ::1 on the interface they came
//! through; a local route to ::1 on that interface lets it find them. Neighbours gain nothing by it: a packet that arrives
//! from or for ::1 is dropped before anything looks at routes (`ip6_rcv_core`, net/ipv6/ip6_input.c).

use std::net::{IpAddr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink::{Link, Route, RouteType, Socket, table};
use nftables::Ruleset;

use crate::Error;
use crate::published::Published;

/// Worse than that of the kernel's own route to ::1 on `lo`, so that everything else goes on as before.
const BEHIND_LO: u32 = 4096;

/// Lets the host reach published ports through its loopback addresses. Without `snat` the answers could not come back.
pub(crate) fn open(published: &Published<'_>) -> Result<(), Error> {
    if !published.config.snat {
        return Ok(());
    }
    let mut socket = Socket::open()?;
    for target in published.serving() {
        let address = target.address.ip();
        let Some(link) = link_to(&mut socket, address)? else { continue };
        match address {
            IpAddr::V4(_) => open_ipv4(published, &socket.link(link)?)?,
            IpAddr::V6(_) => open_ipv6(&mut socket, link)?,
        }
    }
    Ok(())
}

/// The link to a container; none where the host has no way to it, as with macvlan.
fn link_to(socket: &mut Socket, address: IpAddr) -> Result<Option<u32>, Error> {
    match socket.route_to(address) {
        Err(error) if error.is_unreachable() => Ok(None),
        route => Ok(route?.link),
    }
}

fn open_ipv4(published: &Published<'_>, link: &Link) -> Result<(), Error> {
    let key = ["ipv4", "conf", link.name.as_str(), "route_localnet"];
    let mut ruleset = Ruleset::open()?;
    // A ruleset that somebody damaged, or that iptables was asked to stand in for, is no filter.
    if !ruleset.guards_loopback()? {
        ruleset.repair(&published.attachment.label(), &[])?;
    }
    if sysctl::read(&key)? != "1" {
        sysctl::write(&key, "1")?;
    }
    Ok(())
}

/// For CHECK: the filter stands, whoever translates.
pub(crate) fn check(published: &Published<'_>) -> Result<(), Error> {
    let is_open = published.config.snat && published.serving().any(|target| target.address.is_ipv4());
    if is_open && !Ruleset::open()?.guards_loopback()? {
        return Err(Error::Unguarded);
    }
    Ok(())
}

fn open_ipv6(socket: &mut Socket, link: u32) -> Result<(), Error> {
    let route = Route {
        link: Some(link),
        table: table::LOCAL,
        priority: Some(BEHIND_LO),
        kind: RouteType::Local,
        ..Route::new(IpNetwork::from(IpAddr::V6(Ipv6Addr::LOCALHOST)))
    };
    match socket.add_route(&route) {
        Err(error) if !error.is_exists() => Err(error.into()),
        _ => Ok(()),
    }
}
