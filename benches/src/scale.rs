//! Whether a host with much on it is slower than an empty one.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lane::{Lane, Verbs, take_turns};
use crate::networks;
use crate::suite::Suite;

/// How many ports each of the containers publishes that fill a host.
const PORTS_EACH: u16 = 100;

/// Below the first of these the probe and the neighbour have theirs.
const FIRST_PORT: u16 = 10_000;

/// (b) on a host with `ports` published ports, made by the plugins themselves, against one with none but the
/// neighbour's two.
pub(crate) fn published_ports(suite: &Suite, ports: u16, rounds: usize) -> Result<Verbs> {
    let (full, empty) = (Lane::new(suite, networks::published())?, Lane::new(suite, networks::published())?);
    for first in (0..ports).step_by(PORTS_EACH.into()) {
        let last = ports.min(first + PORTS_EACH);
        let published = (first..last).map(|port| (FIRST_PORT + port, port + 1)).collect();
        full.attach(&format!("publisher-{first}"), published)?;
    }
    take_turns(&full, &empty, rounds)
}

/// (b) of a container that publishes `many` ports, against one that publishes `few`.
pub(crate) fn ports_of_one(suite: &Suite, many: u16, few: u16, rounds: usize) -> Result<Verbs> {
    let publisher = |ports: u16| -> Result<Lane> {
        let lane = Lane::new(suite, networks::published())?;
        Ok(lane.publishing((0..ports).map(|port| (FIRST_PORT + port, port + 1)).collect()))
    };
    take_turns(&publisher(many)?, &publisher(few)?, rounds)
}

/// host-local alone with `count` reservations, files such as an earlier ADD left, against one with none but the
/// neighbour's.
pub(crate) fn reservations(suite: &Suite, count: u32, rounds: usize) -> Result<Verbs> {
    let full = Lane::new(suite, networks::addresses("bench-full"))?;
    let empty = Lane::new(suite, networks::addresses("bench-empty"))?;
    full.host.run(|| reserve(Path::new("/var/lib/cni/networks/bench-full"), count))?;
    take_turns(&full, &empty, rounds)
}

fn reserve(directory: &Path, count: u32) -> Result<()> {
    // The network's own address, the gateway and the neighbour's come first.
    let first = u32::from(Ipv4Addr::new(10, 88, 0, 3));
    for number in 0..count {
        let address = Ipv4Addr::from(first + number).to_string();
        write(&directory.join(address), &format!("resident-{number}\r\neth0"))?;
    }
    let last = Ipv4Addr::from(first + count.saturating_sub(1)).to_string();
    let reserved_last = directory.join("last_reserved_ip.0");
    fs::write(&reserved_last, last).map_err(Error::file(&reserved_last))
}

fn write(path: &Path, content: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::file(path))
}
