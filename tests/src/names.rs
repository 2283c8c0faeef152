//! Questions for the addresses of names, as containers ask them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::command::Inside;
use crate::traffic::receive;

/// Where containers ask.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53);

const A: u16 = 1;
const AAAA: u16 = 28;

/// Longer than a server on this machine takes.
const DEADLINE: Duration = Duration::from_secs(5);

/// The addresses that the container gets for a name, IPv4 before IPv6, each family in order; none if there is no such name, or nobody
/// could be asked for it.
///
/// # Panics
/// If nobody answers.
#[track_caller]
pub fn addresses(container: &impl Inside, name: &str) -> Vec<IpAddr> {
    addresses_from(container, SERVER, name)
}

/// The same from another server.
///
/// # Panics
/// As [`addresses`].
#[track_caller]
pub fn addresses_from(container: &impl Inside, server: SocketAddr, name: &str) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for kind in [A, AAAA] {
        let answer = ask(container, server, name, kind).unwrap_or_else(|error| panic!("{server} for {name}: {error}"));
        let mut found = read(&answer);
        found.sort();
        all.append(&mut found);
    }
    all
}

/// The IPv4 addresses that the container gets for a name, unless nobody answers in time.
pub fn try_addresses(container: &impl Inside, name: &str) -> Option<Vec<IpAddr>> {
    Some(read(&ask(container, SERVER, name, A).ok()?))
}

/// How long the first address of a name may be kept, in seconds.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn ttl(container: &impl Inside, name: &str) -> u32 {
    let answer = ask(container, SERVER, name, A).expect("an answer");
    let record = after_name(&answer, after_name(&answer, 12) + 4);
    u32::from_be_bytes(answer[record + 4..record + 8].try_into().expect("four bytes"))
}

/// Whether anybody answers the container there.
pub fn is_answered(container: &impl Inside) -> bool {
    ask(container, SERVER, "anybody", A).is_ok()
}

/// One question over UDP.
///
/// # Errors
/// That of the socket.
pub fn ask(container: &impl Inside, server: SocketAddr, name: &str, kind: u16) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = container.namespaces().enter_network_only(|| UdpSocket::bind((any, 0)))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.connect(server)?;
    socket.send(&question(name, kind))?;
    let mut answer = vec![0; 4096];
    let length = receive(&socket, &mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// A query with one question, recursion desired (RFC 1035, section 4.1).
fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        query.push(u8::try_from(label.len()).expect("a label is short"));
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend(1_u16.to_be_bytes());
    query
}

/// The addresses of an answer.
fn read(answer: &[u8]) -> Vec<IpAddr> {
    let count = u16::from_be_bytes([answer[6], answer[7]]);
    let mut at = after_name(answer, 12) + 4;
    let mut addresses = Vec::new();
    for _ in 0..count {
        at = after_name(answer, at) + 10;
        let length = usize::from(u16::from_be_bytes([answer[at - 2], answer[at - 1]]));
        let data = &answer[at..at + length];
        addresses.extend(<[u8; 4]>::try_from(data).map(IpAddr::from));
        addresses.extend(<[u8; 16]>::try_from(data).map(IpAddr::from));
        at += length;
    }
    addresses
}

/// Where a name ends that begins at `at`: with an empty label, or with a pointer to another name.
fn after_name(message: &[u8], mut at: usize) -> usize {
    loop {
        match message[at] {
            0 => return at + 1,
            length if length >= 0xc0 => return at + 2,
            length => at += 1 + usize::from(length),
        }
    }
}
