//! What names cost: ferrocni-dns with its plugin, against dnsmasq with containers/dnsname, and against aardvark-dns.

mod client;
mod server;

use std::time::Instant;

use crate::error::Result;
use crate::statistics::Pairs;

pub(crate) use server::{Kind, Server};

/// How many names there are on a network that has many.
pub(crate) const FEW: usize = 10;

/// What was measured of ours and of another server, in turn.
#[derive(Default)]
pub(crate) struct Compared {
    /// Seconds from a question to its answer.
    pub(crate) answer: Pairs,
    /// Answers in a second.
    pub(crate) rate: Pairs,
    /// Bytes of the servers' processes, what they share with others divided among them.
    pub(crate) memory: Pairs,
    /// Seconds from when a container is announced until its name is answered, on a host with few names.
    pub(crate) new_beside_few: Pairs,
    /// The same where there are many.
    pub(crate) new_beside_many: Pairs,
}

/// Measures beside `containers` on as many networks as there are, and then beside `many` names on one.
pub(crate) fn compared(sides: [&Kind; 2], containers: usize, many: usize, rounds: usize) -> Result<Compared> {
    let mut compared = Compared::default();
    let servers = start(sides, containers, server::NETWORKS.len())?;
    for round in 0..rounds {
        compared.answer.measure(servers.each_ref(), round, client::answer)?;
        compared.rate.measure(servers.each_ref(), round, client::rate)?;
    }
    compared.memory.measure(servers.each_ref(), 0, Server::memory)?;
    drop(servers);
    for (names, pairs) in [(FEW, &mut compared.new_beside_few), (many, &mut compared.new_beside_many)] {
        let servers = start(sides, names, 1)?;
        for round in 0..rounds {
            pairs.measure(servers.each_ref(), round, new_name)?;
        }
    }
    Ok(compared)
}

fn start(kinds: [&Kind; 2], names: usize, networks: usize) -> Result<[Server; 2]> {
    let [ours, theirs] = kinds.map(|kind| Server::new(kind, names, networks));
    Ok([ours?, theirs?])
}

fn new_name(server: &Server) -> Result<f64> {
    let started = Instant::now();
    let comes = server.announce()?;
    client::wait_for(server, server::NEW)?;
    let elapsed = started.elapsed().as_secs_f64();
    server.withdraw(comes)?;
    client::wait_until_gone(server, server::NEW)?;
    Ok(elapsed)
}
