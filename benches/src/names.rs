//! What names cost: ferrocni-dns with its plugin, against dnsmasq with containers/dnsname, and against aardvark-dns.

mod client;
mod server;

use std::time::Instant;

use crate::error::{Error, Result};
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
    let [ours, theirs] = start(sides, containers, server::NETWORKS.len())?;
    for round in 0..rounds {
        in_turn([&ours, &theirs], round, &mut compared.answer, client::answer)?;
        in_turn([&ours, &theirs], round, &mut compared.rate, client::rate)?;
    }
    in_turn([&ours, &theirs], 0, &mut compared.memory, Server::memory)?;
    drop([ours, theirs]);
    for (names, pairs) in [(FEW, &mut compared.new_beside_few), (many, &mut compared.new_beside_many)] {
        let [ours, theirs] = start(sides, names, 1)?;
        for round in 0..rounds {
            in_turn([&ours, &theirs], round, pairs, new_name)?;
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

/// Who goes first changes with each round.
fn in_turn(
    [ours, theirs]: [&Server; 2],
    round: usize,
    pairs: &mut Pairs,
    measure: impl Fn(&Server) -> Result<f64>,
) -> Result<()> {
    let mut measured = [Error::NothingMeasured, Error::NothingMeasured].map(Err);
    let order = if round.is_multiple_of(2) { [0, 1] } else { [1, 0] };
    for side in order {
        measured[side] = measure([ours, theirs][side]);
    }
    let [ours, theirs] = measured;
    pairs.push(ours?, theirs?);
    Ok(())
}
