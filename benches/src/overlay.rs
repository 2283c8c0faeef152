//! What networks over many hosts cost: two hosts with an agent each, which share an etcd of one member.

mod agents;
mod cluster;
mod peers;
mod traffic;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::lane::{Lane, Verbs, take_turns};
use crate::networks;
use crate::options::Options;
use crate::statistics::Pairs;
use crate::suite::Suite;

pub(crate) use agents::simulated;
pub(crate) use peers::many;

use cluster::Cluster;
use traffic::Lanes;

/// The programs of ours.
pub(crate) const PROGRAMS: [&str; 5] = ["ferrocni", "ferrocni-overlay", "overlay", "ptp", "host-local"];

/// What was measured: the overlay first, then what it is compared with.
pub(crate) struct Compared {
    /// Bits in a second between the two hosts: over the overlay's device, and over a VXLAN device that is nobody's.
    pub(crate) streams_of_hosts: Pairs,
    /// Between two containers: over the overlay, and over a VXLAN device in each of them.
    pub(crate) streams: Pairs,
    /// The same against links and routes made by hand, over a VXLAN device of the hosts.
    pub(crate) streams_by_hand: Pairs,
    /// Seconds until a datagram is answered, the same three.
    pub(crate) answers_of_hosts: Pairs,
    pub(crate) answers: Pairs,
    pub(crate) answers_by_hand: Pairs,
    /// ADD, CHECK and DEL against ptp's.
    pub(crate) verbs: Verbs,
    /// The same while etcd is down.
    pub(crate) verbs_without_etcd: Verbs,
}

/// Measures everything between two hosts.
pub(crate) fn compared(ours: &Suite, options: &Options, progress: impl Fn(&str)) -> Result<Compared> {
    let mut cluster = Cluster::new(ours)?;
    cluster.create(&["--subnet", "10.64.0.0/16"])?;
    let rounds = options.rounds;
    progress("an overlay's streams and answers, against a bare VXLAN's");
    let lanes = Lanes::new(&cluster, ours)?;
    let (mut streams, mut streams_by_hand) = (Pairs::default(), Pairs::default());
    let (mut answers, mut answers_by_hand) = (Pairs::default(), Pairs::default());
    let (mut streams_of_hosts, mut answers_of_hosts) = (Pairs::default(), Pairs::default());
    let of_hosts = [&lanes.hosts_by_overlay, &lanes.hosts_bare];
    for round in 0..rounds.div_ceil(2) {
        streams_of_hosts.measure(of_hosts, round, |lane| lanes.stream(lane))?;
        answers_of_hosts.measure(of_hosts, round, |lane| lanes.answer(lane))?;
        streams.measure([&lanes.overlay, &lanes.bare], round, |lane| lanes.stream(lane))?;
        streams_by_hand.measure([&lanes.overlay, &lanes.by_hand], round, |lane| lanes.stream(lane))?;
        answers.measure([&lanes.overlay, &lanes.bare], round, |lane| lanes.answer(lane))?;
        answers_by_hand.measure([&lanes.overlay, &lanes.by_hand], round, |lane| lanes.answer(lane))?;
    }
    progress("an overlay's ADD, CHECK and DEL, against ptp's");
    let sides = [
        Lane::on(cluster.hosts[0].again()?, ours, networks::overlay())?,
        Lane::new(ours, networks::masqueraded_ptp())?,
    ];
    let verbs = take_turns(&sides[0], &sides[1], rounds)?;
    progress("the same while etcd is down");
    cluster.stop_etcd()?;
    let verbs_without_etcd = take_turns(&sides[0], &sides[1], rounds)?;
    Ok(Compared {
        streams_of_hosts,
        streams,
        streams_by_hand,
        answers_of_hosts,
        answers,
        answers_by_hand,
        verbs,
        verbs_without_etcd,
    })
}

/// What a host's agent has left of the network for plugins.
fn state(host: &Host) -> Result<Value> {
    let path = format!("/run/ferrocni/overlay/networks/{}", networks::OVERLAY);
    let text = host.run(|| fs::read(&path).map_err(Error::file(&path)))?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// Where the agent says how it is.
fn agent_json() -> &'static Path {
    Path::new("/run/ferrocni/overlay/agent.json")
}
