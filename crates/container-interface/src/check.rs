use cni_plugin::{AddResult, IfName, Interface, Route};
use netlink::{Family, Link, Netns, Socket, if_found};

use crate::Error;

/// Compares the container's interface with what ADD reported: namespace, link, hardware address, state, addresses, routes.
///
/// # Errors
/// [`Error::Differs`] with the expected and the found value; [`Error::NotInResult`] if the result lacks the interface.
pub fn check(netns: &Netns, ifname: &IfName, expected: &AddResult) -> Result<Link, Error> {
    check_sandbox(netns, ifname, expected)?;
    let reported = in_result(ifname, expected)?;
    let mut socket = Socket::open_in(netns)?;
    let link = match socket.link(ifname.as_str()) {
        Err(error) if error.is_not_found() => return Err(Error::differs("link", ifname, "one of that name", "none")),
        link => link?,
    };
    check_link(&link, reported, ifname)?;
    check_addresses(&mut socket, &link, ifname, expected)?;
    check_routes(&mut socket, &link, ifname, expected)?;
    Ok(link)
}

/// Compares `CNI_NETNS` alone, with the sandbox that ADD reported, by identity: /run/netns/x and /var/run/netns/x are the same.
///
/// # Errors
/// [`Error::Differs`] if they are different namespaces.
pub fn check_sandbox(netns: &Netns, ifname: &IfName, expected: &AddResult) -> Result<(), Error> {
    let reported = in_result(ifname, expected)?;
    let path = netns.path().to_string_lossy();
    if reported.sandbox == path || is_at(netns, &reported.sandbox)? {
        Ok(())
    } else {
        Err(Error::differs("namespace", ifname, &reported.sandbox, &path))
    }
}

fn is_at(netns: &Netns, path: &str) -> Result<bool, Error> {
    Ok(if_found(Netns::open(path))?.is_some_and(|other| other.id() == netns.id()))
}

fn in_result<'a>(ifname: &IfName, expected: &'a AddResult) -> Result<&'a Interface, Error> {
    expected
        .interfaces
        .iter()
        .find(|interface| interface.name == ifname.as_str() && !interface.sandbox.is_empty())
        .ok_or_else(|| Error::NotInResult { ifname: ifname.clone() })
}

fn check_link(link: &Link, reported: &Interface, ifname: &IfName) -> Result<(), Error> {
    let mac = link.hardware_address.to_string();
    if !reported.mac.is_empty() && !reported.mac.eq_ignore_ascii_case(&mac) {
        return Err(Error::differs("hardware address", ifname, &reported.mac, &mac));
    }
    if link.up { Ok(()) } else { Err(Error::differs("state", ifname, "up", "down")) }
}

fn check_addresses(socket: &mut Socket, link: &Link, ifname: &IfName, expected: &AddResult) -> Result<(), Error> {
    let found = socket.addresses(link.index)?;
    for ip in expected.ips_of(ifname.as_str()) {
        let Some(address) = found.iter().find(|address| address.network == ip.address) else {
            let list: Vec<_> = found.iter().map(|address| address.network.to_string()).collect();
            return Err(Error::differs("address", ifname, &ip.address.to_string(), &list.join(", ")));
        };
        if address.duplicate {
            return Err(Error::differs("address", ifname, &ip.address.to_string(), "a duplicate of another host's"));
        }
    }
    Ok(())
}

/// Each route has to exist, in any table: a plugin later in the chain may have moved it (spec, CHECK: "must allow for a
/// later chained plugin to have modified networking resources").
fn check_routes(socket: &mut Socket, link: &Link, ifname: &IfName, expected: &AddResult) -> Result<(), Error> {
    let routes: Vec<&Route> = expected.routes.iter().filter(|route| belongs(route, ifname, expected)).collect();
    for family in [Family::V4, Family::V6] {
        let mut wanted = routes.iter().filter(|route| route.dst.is_ipv4() == (family == Family::V4)).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let found = socket.routes_in_all_tables(family, Some(link.index))?;
        for route in wanted {
            if !found.iter().any(|candidate| is_same(route, candidate)) {
                let found = if found.iter().any(|candidate| leads_to(candidate, route)) {
                    "one by another gateway"
                } else {
                    "none"
                };
                return Err(Error::differs("route", ifname, &describe(route), found));
            }
        }
    }
    Ok(())
}

/// A result's routes name no interface. A route whose gateway is in another interface's subnet belongs to that interface.
fn belongs(route: &Route, ifname: &IfName, expected: &AddResult) -> bool {
    let on_this = expected.ips_of(ifname.as_str()).any(|ip| route.gw.is_some_and(|gw| ip.address.contains(gw)));
    let on_another = expected.ips.iter().any(|ip| route.gw.is_some_and(|gw| ip.address.contains(gw)));
    on_this || !on_another
}

fn is_same(route: &Route, candidate: &netlink::Route) -> bool {
    leads_to(candidate, route) && route.gw.is_none_or(|gw| gw.is_unspecified() || candidate.gateway == Some(gw))
}

/// Compares without host bits: a configuration may have them, and the kernel drops them.
fn leads_to(candidate: &netlink::Route, route: &Route) -> bool {
    candidate.destination.network() == route.dst.network() && candidate.destination.prefix() == route.dst.prefix()
}

fn describe(route: &Route) -> String {
    route.gw.map_or_else(|| route.dst.to_string(), |gw| format!("{} via {gw}", route.dst))
}
