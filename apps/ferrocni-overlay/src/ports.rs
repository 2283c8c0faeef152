//! Ports of this host that it answers for the cluster: while it does, no other program gets them, and what another program or a container
//! has already is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use ip::Protocol;
use nftables::{Element, Ruleset};
use nix::errno::Errno;
use overlay::ingress::Port;
use socket2::{Domain, Socket, Type};

/// How often it is looked whether a container of this host has got a port meanwhile.
const LOOK_AFTER: Duration = Duration::from_secs(50);

/// Sockets that are bound and do nothing else.
#[derive(Debug, Default)]
pub(crate) struct Held {
    sockets: BTreeMap<Port, Vec<Socket>>,
    /// When it was looked last whether a container has one of them.
    looked: Option<Instant>,
    problems: BTreeMap<Port, String>,
}

impl Held {
    /// Has these ports and no others, and says which it cannot have.
    pub(crate) fn keep(&mut self, ports: &BTreeSet<Port>) -> Vec<String> {
        self.sockets.retain(|port, _| ports.contains(port));
        let is_time = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AFTER);
        if is_time {
            self.looked = Some(Instant::now());
        }
        self.problems.clear();
        for port in ports {
            let looks = is_time || !self.sockets.contains_key(port);
            if let Some(holder) = looks.then(|| published_by(*port)).flatten() {
                self.sockets.remove(port);
                self.problems
                    .insert(*port, format!("{holder} publishes port {port} on this host, which answers that alone"));
            } else if !self.sockets.contains_key(port) {
                match bind(*port) {
                    Ok(sockets) => {
                        self.sockets.insert(*port, sockets);
                        self.looked = None;
                    }
                    Err(error) => drop(self.problems.insert(*port, refused(*port, &error))),
                }
            }
        }
        self.problems.values().cloned().collect()
    }

    /// A container may have got a port of these at the same time: who publishes one looks afterwards whether this host answers it already,
    /// and so does this side.
    pub(crate) fn are_to_be_looked_at(&self) -> bool {
        self.looked.is_none() && !self.sockets.is_empty()
    }

    /// Whether this host answers the port.
    pub(crate) fn has(&self, port: Port) -> bool {
        self.sockets.contains_key(&port)
    }

    /// Why it does not.
    pub(crate) fn problem(&self, port: Port) -> Option<String> {
        self.problems.get(&port).cloned()
    }
}

fn refused(port: Port, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::AddrInUse => "another program of this host has it".to_owned(),
        _ => error.to_string(),
    };
    format!("port {port} of the cluster is not answered by this host: {why}. Stop that, or publish another port")
}

/// The container that publishes the port on this host alone, on all of its addresses.
fn published_by(port: Port) -> Option<String> {
    let to = |address: IpAddr| Element::Publish {
        host: None,
        protocol: port.protocol,
        port: port.port,
        to: (address, port.port),
    };
    let mut ruleset = Ruleset::open().ok()?;
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut holders = any.into_iter().filter_map(|address| ruleset.holders(&to(address)).ok()).flatten();
    let label = holders.next()?;
    Some(format!("container {}", label.strip_prefix(suite::PREFIX).unwrap_or(&label)))
}

/// Where a host has no IPv6, or no SCTP, there is nothing to bind.
fn bind(port: Port) -> io::Result<Vec<Socket>> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut sockets = Vec::new();
    for address in any {
        match bind_to(SocketAddr::new(address, port.port), port.protocol) {
            Err(error) if is_unsupported(&error) => {}
            socket => sockets.push(socket?),
        }
    }
    Ok(sockets)
}

fn bind_to(address: SocketAddr, protocol: Protocol) -> io::Result<Socket> {
    let kind = if protocol == Protocol::Udp { Type::DGRAM } else { Type::STREAM };
    let socket = Socket::new(Domain::for_address(address), kind, Some(i32::from(protocol.number()).into()))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if protocol == Protocol::Udp {
        // What comes here all the same, as from the host's loopback, is read by nobody.
        socket.set_recv_buffer_size(0)?;
    }
    match socket.bind(&address.into()) {
        // Where connections of a server that has ended linger, it has to share the port with them. One that listens is never shared with.
        Err(error) if error.kind() == ErrorKind::AddrInUse && protocol == Protocol::Tcp => {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
        }
        outcome => outcome?,
    }
    Ok(socket)
}

fn is_unsupported(error: &io::Error) -> bool {
    [Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT, Errno::ESOCKTNOSUPPORT]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}
