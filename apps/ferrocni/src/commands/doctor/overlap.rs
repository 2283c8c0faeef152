//! Is each network's bridge and subnet its own?

use cni::json;
use ip::Family;
use ipnetwork::IpNetwork;
use netlink::{Link, Route, Socket, table};

use super::finding::Finding;
use super::survey::{Known, Survey};
use crate::failure::Failure;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for (place, known) in survey.networks.iter().enumerate() {
        let later = survey.networks[place + 1..].iter();
        let pairs = later.filter(|other| (known.wanted || other.wanted) && known.about.name != other.about.name);
        findings.extend(pairs.filter_map(|other| shared(known, other)));
    }
    findings.extend(routes(survey)?);
    Ok(findings)
}

/// Interfaces on a link of the host may well share the subnet that the link is in; what the host routes may not.
fn has_own_subnet(known: &Known) -> bool {
    known.bridge().is_some() || matches!(&*known.about.driver, "ptp" | "overlay")
}

fn shared(known: &Known, other: &Known) -> Option<Finding> {
    let names = (&known.about.name, &other.about.name);
    let bridge = known.bridge().filter(|bridge| other.bridge() == Some(bridge) && !in_vlan(known) && !in_vlan(other));
    let what = match bridge {
        Some(bridge) => format!("bridge {bridge}"),
        None if known.bridge().is_some() && known.bridge() == other.bridge() => return None,
        None => overlap(known, other).map(|subnet| format!("subnet {subnet}"))?,
    };
    let problem = format!("it has {what}, and so has network {}: give one of them another, or remove it", names.0);
    // Whether it is in use, that command finds out itself.
    Some(Finding::new(format!("network {}", names.1), problem).mended_by(format!("ferrocni network rm {}", names.1)))
}

fn in_vlan(known: &Known) -> bool {
    known.network.list.plugins.first().is_some_and(|plugin| json::get(&plugin.keys, "vlan").is_some())
}

fn overlap(known: &Known, other: &Known) -> Option<IpNetwork> {
    if !has_own_subnet(known) || !has_own_subnet(other) {
        return None;
    }
    let pairs = Family::ALL.into_iter().flat_map(|family| {
        known.subnets(family).flat_map(move |one| other.subnets(family).map(move |two| (one, two)).collect::<Vec<_>>())
    });
    pairs.into_iter().find(|(one, two)| overlaps(*one, *two)).map(|(_, two)| two)
}

fn overlaps(one: IpNetwork, other: IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

/// Routes that lead elsewhere with the subnet of a network.
fn routes(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut socket = Socket::open()?;
    let mut findings = Vec::new();
    for family in Family::ALL {
        let routes = socket.routes(family, None, table::MAIN)?;
        // Two halves of everything are a VPN's way of being the default.
        let routes: Vec<_> = routes.iter().filter(|route| route.destination.prefix() > 1).collect();
        for known in survey.wanted().filter(|known| has_own_subnet(known)) {
            for subnet in known.subnets(family) {
                let is_strange = |route: &&&Route| overlaps(route.destination, subnet) && !is_own(survey, known, route);
                findings.extend(routes.iter().find(is_strange).map(|route| finding(survey, known, subnet, route)));
            }
        }
    }
    Ok(findings)
}

/// Through the network's bridge, or to one of its containers.
fn is_own(survey: &Survey<'_>, known: &Known, route: &Route) -> bool {
    let Some(link) = link(survey, route) else { return false };
    let of_container = || {
        survey.attached.iter().any(|seen| {
            seen.connection.recorded.network == *known.network.name()
                && seen.connection.host_links().contains(&link.name)
        })
    };
    let is_labelled = link.alias.as_deref().is_some_and(|alias| alias.starts_with(suite::PREFIX));
    known.bridge().is_some_and(|bridge| is_on(&link.name, bridge)) || is_labelled || of_container()
}

/// The bridge itself, or the host's link into one of its VLANs.
fn is_on(name: &str, bridge: &str) -> bool {
    name == bridge || name.strip_prefix(bridge).is_some_and(|rest| rest.starts_with('.'))
}

fn link<'s>(survey: &'s Survey<'_>, route: &Route) -> Option<&'s Link> {
    survey.links.iter().map(|(link, _)| link).find(|link| Some(link.index) == route.link)
}

fn finding(survey: &Survey<'_>, known: &Known, subnet: IpNetwork, route: &Route) -> Finding {
    let name = &known.about.name;
    let by = link(survey, route).map_or_else(String::new, |link| format!(" through {}", link.name));
    let problem = format!(
        "its subnet {subnet} overlaps with {}, which the host has a route to{by}: one of the two cannot be reached; create the \
         network anew with another subnet",
        route.destination
    );
    Finding::new(format!("network {name}"), problem).mended_by(format!("ferrocni network rm {name}"))
}
