//! What is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;

use ::names::{Records, Server};
use cni::Attachment;
use netlink::Statistics;
use suite::Labelled as _;

use super::text::{Kind, Text};
use crate::commands::doctor::{leftovers, ranges, survey::Survey};
use crate::failure::Failure;

/// Everything, in Prometheus' format.
pub(super) fn render(survey: &Survey<'_>) -> Result<String, Failure> {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    let mut build =
        text.family("ferrocni_build_info", Kind::Gauge, "The version of this command; the value is always 1.");
    build.number(&[("version", version)], 1);
    attachments(survey, &mut text);
    addresses(survey, &mut text);
    ports(survey, &mut text);
    containers_names(&mut text)?;
    over_many_hosts(&mut text)?;
    remains(survey, &mut text)?;
    traffic(survey, &mut text);
    let unreadable = survey.broken.len() + survey.unreadable.len();
    let mut files =
        text.family("ferrocni_unreadable_files", Kind::Gauge, "Networks' files and records that cannot be read.");
    files.number(&[], unreadable);
    Ok(text.into_string())
}

/// The names of all networks that have a file or an attachment.
fn names(survey: &Survey<'_>) -> BTreeSet<String> {
    let configured = survey.networks.iter().map(|known| known.about.name.clone());
    configured.chain(survey.attached.iter().map(|seen| seen.connection.recorded.network.to_string())).collect()
}

fn attachments(survey: &Survey<'_>, text: &mut Text) {
    let mut counts: BTreeMap<String, [usize; 2]> = names(survey).into_iter().map(|name| (name, [0, 0])).collect();
    for seen in &survey.attached {
        counts.entry(seen.connection.recorded.network.to_string()).or_default()[usize::from(!seen.alive)] += 1;
    }
    let help = "Recorded attachments of containers, by whether the interface is there (living) or not (dead).";
    let mut family = text.family("ferrocni_attachments", Kind::Gauge, help);
    for (network, [living, dead]) in &counts {
        family.number(&[("network", network), ("state", "living")], living);
        family.number(&[("network", network), ("state", "dead")], dead);
    }
}

fn addresses(survey: &Survey<'_>, text: &mut Text) {
    let mut usage = Vec::new();
    let mut known_names = BTreeSet::new();
    // Of files with the same name, the first one counts.
    for known in survey.networks.iter().filter(|known| known_names.insert(&known.about.name)) {
        usage.extend(ranges::usage(known).into_iter().map(|usage| (&known.about.name, usage)));
    }
    let mut used = text.family("ferrocni_addresses_used", Kind::Gauge, "Reserved addresses of each range set.");
    for (network, usage) in &usage {
        used.number(&[("network", network), ("range", &usage.ranges)], usage.reserved);
    }
    let mut free = text.family("ferrocni_addresses_free", Kind::Gauge, "Free addresses of each range set.");
    for (network, usage) in &usage {
        free.number(&[("network", network), ("range", &usage.ranges)], usage.free());
    }
}

fn ports(survey: &Survey<'_>, text: &mut Text) {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for connection in survey.living() {
        for port in &connection.ports {
            *counts.entry((connection.recorded.network.to_string(), port.protocol.clone())).or_default() += 1;
        }
    }
    let help = "Published ports of living attachments.";
    let mut family = text.family("ferrocni_published_ports", Kind::Gauge, help);
    for ((network, protocol), count) in &counts {
        family.number(&[("network", network), ("protocol", protocol)], count);
    }
}

/// Of the server, that it answers, and of how many it could.
fn containers_names(text: &mut Text) -> Result<(), Failure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (attachment, record) in Records::default().list()? {
        *counts.entry(attachment.network.to_string()).or_default() += record.name.iter().chain(&record.aliases).count();
    }
    let mut family = text.family("ferrocni_names", Kind::Gauge, "Names and aliases of containers.");
    for (network, count) in &counts {
        family.number(&[("network", network)], count);
    }
    let is_up = Server::default().status().is_ok();
    let mut family = text.family("ferrocni_dns_up", Kind::Gauge, "Whether the server of names answers (1) or not (0).");
    family.number(&[], u8::from(is_up));
    Ok(())
}

/// Of the agent of networks over many hosts, if one runs or has run here.
fn over_many_hosts(text: &mut Text) -> Result<(), Failure> {
    let places = overlay::Places::default();
    let Some(agent) = places.agent_state()? else { return Ok(()) };
    let is_connected = agent.connected && UnixStream::connect(places.socket()).is_ok();
    let mut gauge = |name, help, number: usize| text.family(name, Kind::Gauge, help).number(&[], number);
    gauge(
        "ferrocni_overlay_connected",
        "Whether the agent runs and etcd answers it (1) or not (0).",
        is_connected.into(),
    );
    gauge("ferrocni_overlay_hosts", "Hosts that share this host's etcd, with this one.", agent.hosts);
    gauge("ferrocni_overlay_hosts_alive", "Those that have shown a sign of life in time.", agent.alive);
    gauge("ferrocni_overlay_networks", "Networks over many hosts that this host has joined.", agent.networks);
    gauge("ferrocni_overlay_ports", "Ports that every host answers, and this one does.", agent.ports);
    gauge("ferrocni_overlay_nonsense", "Keys and values in etcd that make no sense, and are ignored.", agent.nonsense);
    gauge("ferrocni_overlay_problems", "What stands in the agent's way; its log says what.", agent.problems.len());
    let mut counter = |name, help, number: u64| text.family(name, Kind::Counter, help).number(&[], number);
    counter("ferrocni_overlay_drift_total", "What was not as it should be in the kernel, and was mended.", agent.drift);
    counter("ferrocni_overlay_resyncs_total", "How often etcd was read anew because changes were lost.", agent.resyncs);
    Ok(())
}

fn remains(survey: &Survey<'_>, text: &mut Text) -> Result<(), Failure> {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for leftover in leftovers::found(survey)? {
        *counts.entry((leftover.network().to_string(), leftover.kind())).or_default() += 1;
    }
    let help = "What containers that are gone have left; `ferrocni doctor --sweep` removes it.";
    let mut family = text.family("ferrocni_leftovers", Kind::Gauge, help);
    for ((network, kind), count) in &counts {
        family.number(&[("network", network), ("kind", kind)], count);
    }
    Ok(())
}

/// What the host's ends of a network's links have counted. They know no other interfaces: a macvlan's packets pass the parent.
fn traffic(survey: &Survey<'_>, text: &mut Text) {
    type Read = fn(&Statistics) -> u64;
    const COUNTERS: [(&str, &str, Read); 4] = [
        ("ferrocni_network_sent_bytes_total", "Bytes that attached containers have sent.", |end| end.received_bytes),
        ("ferrocni_network_received_bytes_total", "Bytes that attached containers have received.", |end| {
            end.sent_bytes
        }),
        ("ferrocni_network_sent_packets_total", "Packets that attached containers have sent.", |end| {
            end.received_packets
        }),
        ("ferrocni_network_received_packets_total", "Packets that attached containers have received.", |end| {
            end.sent_packets
        }),
    ];
    let ends = ends(survey);
    for (name, help, read) in COUNTERS {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (network, statistics) in &ends {
            let sum = sums.entry(network).or_default();
            *sum = sum.saturating_add(read(statistics));
        }
        let mut family = text.family(name, Kind::Counter, help);
        for (network, sum) in sums {
            family.number(&[("network", network)], sum);
        }
    }
}

/// The host's ends by network: by label, or as the attachment's result names them.
fn ends(survey: &Survey<'_>) -> Vec<(String, Statistics)> {
    let living = survey.living();
    let reported =
        living.flat_map(|seen| seen.host_links().into_iter().map(|link| (link, seen.recorded.network.to_string())));
    let reported: BTreeMap<String, String> = reported.collect();
    let veths = survey.links.iter().filter(|(link, _)| link.kind.as_deref() == Some("veth"));
    let network_of = |link: &netlink::Link| {
        let labelled = link.alias.as_deref().and_then(Attachment::from_label);
        labelled.map(|attachment| attachment.network.to_string()).or_else(|| reported.get(&link.name).cloned())
    };
    veths.filter_map(|(link, statistics)| Some((network_of(link)?, *statistics))).collect()
}
