//! Does the host itself reach published ports at 127.0.0.1? The kernel lets packets from there out to a container only through links
//! with `route_localnet`.

use std::net::IpAddr;

use cni::json;
use ipnetwork::IpNetwork;
use netlink::{Socket, if_found};
use serde_json::Value;

use super::finding::Finding;
use super::survey::Survey;
use crate::attachments::Connection;
use crate::failure::Failure;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut socket = Socket::open()?;
    let mut findings: Vec<Finding> = Vec::new();
    for connection in survey.living().filter(|connection| is_on_loopback(survey, connection)) {
        let Some(link) = way(&mut socket, connection)? else { continue };
        if is_closed(&link)? {
            let problem =
                format!("{link} has no route_localnet: published ports behind it are out of reach at 127.0.0.1");
            let finding = Finding::new(format!("network {}", connection.recorded.network), problem);
            findings.push(finding.mended_by(format!("sysctl -w net/ipv4/conf/{link}/route_localnet=1")));
        }
    }
    findings.dedup();
    Ok(findings)
}

/// Whether a port is published there, by a plugin that lets the answers come back.
fn is_on_loopback(survey: &Survey<'_>, connection: &Connection) -> bool {
    let is_loopback = |host: &str| host.is_empty() || host == "0.0.0.0" || host.starts_with("127.");
    let then = connection.recorded.configured().ok().flatten();
    let now = survey.network(&connection.recorded.network).map(|known| &known.network);
    let plugins = then.as_ref().or(now).map(|network| network.list.plugins.iter());
    let mut plugins = plugins.into_iter().flatten();
    let portmap = plugins.find(|plugin| plugin.kind.as_str() == "portmap");
    let returns = portmap.is_some_and(|plugin| json::get(&plugin.keys, "snat") != Some(&Value::Bool(false)));
    returns && connection.ports.iter().any(|port| !port.ingress && is_loopback(&port.host_ip))
}

/// The link of its own network that leads to the container; none where a link to others does.
fn way(socket: &mut Socket, connection: &Connection) -> Result<Option<String>, Failure> {
    let Some(address) = connection.addresses.iter().map(IpNetwork::ip).find(IpAddr::is_ipv4) else {
        return Ok(None);
    };
    let index = match socket.route_to(address) {
        Err(error) if error.is_unreachable() => None,
        route => route?.link,
    };
    let link = index.map(|index| if_found(socket.link(index))).transpose()?.flatten();
    Ok(link.map(|link| link.name).filter(|name| connection.host_links().contains(name)))
}

/// The switch of all links opens each.
fn is_closed(link: &str) -> Result<bool, Failure> {
    for of in ["all", link] {
        let value = match sysctl::read(&["ipv4", "conf", of, "route_localnet"]) {
            Err(error) if error.is_not_found() => return Ok(false),
            value => value?,
        };
        if value.trim() != "0" {
            return Ok(false);
        }
    }
    Ok(true)
}
