//! Are containers' packets small enough for the links that they leave by?

use ip::Family;
use netlink::{Link, Netns, Socket, if_found, table};

use super::finding::{Finding, quote};
use super::survey::{Known, Survey};
use crate::attachments::Connection;
use crate::failure::Failure;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let uplink = uplink(survey)?;
    let mut findings = Vec::new();
    for known in survey.wanted() {
        let Some(narrowest) = narrowest(survey, known, uplink) else { continue };
        for connection in survey.living_on(known) {
            if let Some(link) = inside(connection)?.filter(|link| link.mtu > narrowest.mtu) {
                findings.push(finding(known, connection, &link, narrowest));
            }
        }
    }
    Ok(findings)
}

/// The narrowest of the links of the host that the network's packets pass.
fn narrowest<'s>(survey: &'s Survey<'_>, known: &Known, uplink: Option<&'s Link>) -> Option<&'s Link> {
    let bridge = known.bridge().and_then(|name| survey.link(name));
    let uplink = uplink.filter(|_| known.is_routed());
    bridge.into_iter().chain(uplink).min_by_key(|link| link.mtu)
}

/// The link that the host's default route leads through: of IPv4, or else of IPv6.
fn uplink<'s>(survey: &'s Survey<'_>) -> Result<Option<&'s Link>, Failure> {
    let mut socket = Socket::open()?;
    for family in Family::ALL {
        let routes = socket.routes(family, None, table::MAIN)?;
        let defaults = routes.iter().filter(|route| route.is_default());
        let best = defaults.min_by_key(|route| route.priority).and_then(|route| route.link);
        if let Some(link) = survey.links.iter().map(|(link, _)| link).find(|link| Some(link.index) == best) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

fn inside(connection: &Connection) -> Result<Option<Link>, Failure> {
    let Some(path) = connection.netns() else { return Ok(None) };
    let Some(netns) = if_found(Netns::open(path))? else { return Ok(None) };
    Ok(if_found(Socket::open_in(&netns)?.link(connection.recorded.endpoint.ifname.as_str()))?)
}

fn finding(known: &Known, connection: &Connection, link: &Link, narrowest: &Link) -> Finding {
    let problem = format!(
        "its MTU is {}, and {}, which its packets pass, has {}: large ones are lost where nobody may say so (\"mtu\": {2} in {3} \
         is for containers to come)",
        link.mtu,
        narrowest.name,
        narrowest.mtu,
        known.file()
    );
    let path = connection.netns().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let command = format!("nsenter --net={} ip link set dev {} mtu {}", quote(&path), quote(&link.name), narrowest.mtu);
    Finding::new(connection.described(), problem).mended_by(command)
}
