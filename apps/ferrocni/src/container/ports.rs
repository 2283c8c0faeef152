//! Ports of the host that lead into a container (`--publish`).

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use cni::NetworkName;
use ip::Protocol;
use nix::errno::Errno;
use overlay::Places;
use socket2::{Domain, Socket, Type};

use crate::attachments::PortMapping;

/// How often a port is drawn that has to be free in every family.
const DRAWS: usize = 1000;

/// `[ADDRESS:][HOST PORTS:]PORTS[/PROTOCOL][,mode=MODE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) address: Option<IpAddr>,
    /// `None`: whichever are free.
    pub(crate) host: Option<Ports>,
    pub(crate) container: Ports,
    pub(crate) protocol: Protocol,
    /// Every host of the network answers it, and not the container's alone.
    pub(crate) ingress: bool,
}

/// The first and the last of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports(u16, u16);

/// Ports that have been claimed. Sockets are bound to them, so that no other program of the host gets them; what arrives is
/// forwarded before it would reach a socket.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) ports: Vec<PortMapping>,
    pub(crate) sockets: Vec<Socket>,
}

/// A port that somebody has, as a container of the host would.
pub(crate) type Claimed = (String, PortMapping);

/// A port that cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("port {0} is published twice: leave one of them out")]
    Twice(Port),
    #[error("port {port} is already allocated: container {holder} has it")]
    Held { port: Port, holder: String },
    #[error("port {0} is already in use: another program of this host has it")]
    InUse(Port),
    #[error("port {port} is already allocated: network {network} has it on every host")]
    OnEveryHost { port: Port, network: NetworkName },
    #[error("port {0} cannot be published: the address is none of this host's")]
    NoAddress(Port),
    #[error("port {0} cannot be published")]
    Socket(Port, #[source] io::Error),
    #[error("none of the ports {ports} is free")]
    NoneFree { ports: Ports },
    #[error("no port of this host is free")]
    Exhausted,
}

impl ClaimError {
    /// Whether another port may do.
    fn is_about_one(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::InUse(_) | Self::OnEveryHost { .. } | Self::Twice(_))
    }
}

/// A port of the host, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port(Option<IpAddr>, u16, Protocol);

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(address), port, protocol) => write!(formatter, "{}/{protocol}", SocketAddr::new(*address, *port)),
            Self(None, port, protocol) => write!(formatter, "{port}/{protocol}"),
        }
    }
}

impl Ports {
    fn len(self) -> u16 {
        self.1 - self.0
    }

    pub(crate) fn contains(self, port: u16) -> bool {
        (self.0..=self.1).contains(&port)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u16> {
        self.0..=self.1
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(first, last) = self;
        if first == last { write!(formatter, "{first}") } else { write!(formatter, "{first}-{last}") }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first, last)),
            (Some(_), Some(_)) => Err(format!("{text:?} begins after its end")),
            _ => Err(format!("{text:?} is no port: a port is 1 to 65535, a range is FIRST-LAST")),
        }
    }
}

/// `80`, `80-89`, `53/udp`: what `--expose` takes, and the end of what `--publish` does.
pub(crate) fn exposed(text: &str) -> Result<(Ports, Protocol), String> {
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let known = protocol.to_ascii_lowercase().parse();
    Ok((ports.parse()?, known.map_err(|_| format!("{protocol:?} is no protocol: use tcp, udp or sctp"))?))
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, ingress) = match text.split_once(',') {
            None | Some((_, "mode=host")) => (text.split(',').next().unwrap_or(text), false),
            Some((text, "mode=ingress")) => (text, true),
            Some((_, other)) => return Err(format!("{other:?} is not known: there are mode=host and mode=ingress")),
        };
        let (before, container) = text.rsplit_once(':').map_or((None, text), |(before, after)| (Some(before), after));
        let (container, protocol) = exposed(container)?;
        let (address, host) = before.map_or(Ok((None, None)), of_host)?;
        let publish = Self { address, host, container, protocol, ingress };
        match host {
            None if ingress => {
                Err("a port that every host answers has to be named, as in 8080:80,mode=ingress".to_owned())
            }
            Some(host) if host.len() != container.len() && container.len() != 0 => {
                Err("the ranges of ports differ in length".to_owned())
            }
            _ => Ok(publish),
        }
    }
}

/// `8080`, `127.0.0.1:8080`, `[::1]:8080`, `127.0.0.1:`.
fn of_host(text: &str) -> Result<(Option<IpAddr>, Option<Ports>), String> {
    let (address, ports) = match text.rsplit_once(':') {
        _ if text.ends_with(']') => (Some(text), ""),
        Some((address, ports)) => (Some(address), ports),
        None if text.contains('.') => (Some(text), ""),
        None => (None, text),
    };
    let bare = address.map(|address| match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(""),
        None if address.contains(':') => "",
        None => address,
    });
    let wrong = |_| format!("{:?} is no address; IPv6 addresses are written in brackets", address.unwrap_or_default());
    let address = bare.map(|bare| bare.parse().map_err(wrong)).transpose()?;
    let ports = if ports.is_empty() { None } else { Some(ports.parse()?) };
    Ok((address, ports))
}

impl Claims {
    /// Claims what is asked for. `taken` is what containers of the host have.
    pub(crate) fn add(&mut self, asked: &Publish, taken: &[Claimed]) -> Result<(), ClaimError> {
        match asked.host {
            None => asked.container.iter().try_for_each(|port| self.draw(asked, port, taken)),
            Some(host) if host.len() == asked.container.len() => {
                let mut pairs = host.iter().zip(asked.container.iter());
                pairs.try_for_each(|(host, container)| self.claim(asked, host, container, taken))
            }
            Some(host) => self.claim_first(asked, host, taken),
        }
    }

    /// The first free one of a range.
    fn claim_first(&mut self, asked: &Publish, host: Ports, taken: &[Claimed]) -> Result<(), ClaimError> {
        for port in host.iter() {
            match self.claim(asked, port, asked.container.0, taken) {
                Err(error) if error.is_about_one() => {}
                outcome => return outcome,
            }
        }
        Err(ClaimError::NoneFree { ports: host })
    }

    /// Whichever the kernel gives (`net.ipv4.ip_local_port_range`), if it is free in every family.
    fn draw(&mut self, asked: &Publish, container: u16, taken: &[Claimed]) -> Result<(), ClaimError> {
        for _ in 0..DRAWS {
            let port = draw_port(asked).map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => ClaimError::Exhausted,
                _ => failed(Port(asked.address, 0, asked.protocol), error),
            })?;
            match self.claim(asked, port, container, taken) {
                Err(error) if error.is_about_one() => {}
                outcome => return outcome,
            }
        }
        Err(ClaimError::Exhausted)
    }

    fn claim(&mut self, asked: &Publish, host: u16, container: u16, taken: &[Claimed]) -> Result<(), ClaimError> {
        let mapping = PortMapping {
            host_port: host,
            container_port: container,
            protocol: asked.protocol.to_string(),
            host_ip: asked.address.map(|address| address.to_string()).unwrap_or_default(),
            ingress: asked.ingress,
        };
        let port = Port(asked.address, host, asked.protocol);
        if self.ports.iter().any(|claimed| collide(claimed, &mapping)) {
            return Err(ClaimError::Twice(port));
        }
        if let Some((holder, _)) = taken.iter().find(|(_, claimed)| collide(claimed, &mapping)) {
            return Err(ClaimError::Held { port, holder: holder.clone() });
        }
        if asked.ingress {
            // The agent holds it, on every host.
            self.ports.push(mapping);
            return Ok(());
        }
        self.sockets.extend(bind_all(asked, host).map_err(|error| failed(port, error))?);
        self.ports.push(mapping);
        Ok(())
    }
}

fn failed(port: Port, error: io::Error) -> ClaimError {
    match error.kind() {
        ErrorKind::AddrInUse => in_use(port),
        ErrorKind::AddrNotAvailable => ClaimError::NoAddress(port),
        _ => ClaimError::Socket(port, error),
    }
}

/// By the agent of overlay networks, or by somebody else.
fn in_use(port: Port) -> ClaimError {
    let state = Places::default().ingress_state().ok().flatten().unwrap_or_default();
    let known = state.answered(overlay::ingress::Port { protocol: port.2, port: port.1 });
    known.map_or(ClaimError::InUse(port), |known| ClaimError::OnEveryHost { port, network: known.network.clone() })
}

/// Whether the second could not be published beside the first.
fn collide(one: &PortMapping, other: &PortMapping) -> bool {
    let address = |mapping: &PortMapping| mapping.host_ip.parse::<IpAddr>().ok();
    let same_address = match (address(one), address(other)) {
        (Some(one), Some(other)) => {
            one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        }
        _ => true,
    };
    // Several containers can be behind a port that every host answers.
    let together = one.ingress && other.ingress;
    same_address && !together && one.host_port == other.host_port && one.protocol == other.protocol
}

/// The addresses to bind to: those of both families, where none is named.
fn addresses(asked: &Publish) -> Vec<IpAddr> {
    asked.address.map_or_else(|| vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()], |one| vec![one])
}

/// A host without IPv6 has IPv4 only, and one without SCTP has nothing to bind.
fn bind_all(asked: &Publish, port: u16) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for address in addresses(asked) {
        match bind(SocketAddr::new(address, port), asked.protocol) {
            Err(error) if is_unsupported(&error) => {}
            socket => sockets.push(socket?),
        }
    }
    Ok(sockets)
}

fn draw_port(asked: &Publish) -> io::Result<u16> {
    let address = asked.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    // Where the kernel has no such protocol, another's ports are as good.
    let protocol = if asked.protocol == Protocol::Udp { Protocol::Udp } else { Protocol::Tcp };
    let socket = bind(SocketAddr::new(address, 0), protocol)?;
    Ok(socket.local_addr()?.as_socket().map_or(0, |address| address.port()))
}

fn is_unsupported(error: &io::Error) -> bool {
    [Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT, Errno::ESOCKTNOSUPPORT]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// A socket that is bound and does nothing else. Where connections of a server that has ended linger (TIME_WAIT), it has to share the
/// port with them; a socket that listens is never shared with.
fn bind(address: SocketAddr, protocol: Protocol) -> io::Result<Socket> {
    match bind_with(address, protocol, false) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && protocol == Protocol::Tcp => {
            bind_with(address, protocol, true)
        }
        outcome => outcome,
    }
}

fn bind_with(address: SocketAddr, protocol: Protocol, shared: bool) -> io::Result<Socket> {
    let kind = if protocol == Protocol::Udp { Type::DGRAM } else { Type::STREAM };
    let socket = Socket::new(Domain::for_address(address), kind, Some(i32::from(protocol.number()).into()))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn publish(address: Option<&str>, host: Option<(u16, u16)>, container: (u16, u16), protocol: Protocol) -> Publish {
        let ports = |(first, last)| Ports(first, last);
        let address = address.map(|address| address.parse().unwrap());
        Publish { address, host: host.map(ports), container: ports(container), protocol, ingress: false }
    }

    #[test]
    fn every_form_of_docker_is_read() {
        use Protocol::{Sctp, Tcp, Udp};
        for (text, expected) in [
            ("80", publish(None, None, (80, 80), Tcp)),
            ("8080:80", publish(None, Some((8080, 8080)), (80, 80), Tcp)),
            ("127.0.0.1:8080:80/udp", publish(Some("127.0.0.1"), Some((8080, 8080)), (80, 80), Udp)),
            ("127.0.0.1::80", publish(Some("127.0.0.1"), None, (80, 80), Tcp)),
            ("127.0.0.1:80", publish(Some("127.0.0.1"), None, (80, 80), Tcp)),
            ("[::1]:8080:80/SCTP", publish(Some("::1"), Some((8080, 8080)), (80, 80), Sctp)),
            ("[::]:80", publish(Some("::"), None, (80, 80), Tcp)),
            ("8000-8002:80-82", publish(None, Some((8000, 8002)), (80, 82), Tcp)),
            ("8000-8002:80", publish(None, Some((8000, 8002)), (80, 80), Tcp)),
            ("80-82", publish(None, None, (80, 82), Tcp)),
            ("8080:80,mode=host", publish(None, Some((8080, 8080)), (80, 80), Tcp)),
            ("8080:80/udp,mode=ingress", Publish { ingress: true, ..publish(None, Some((8080, 8080)), (80, 80), Udp) }),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "",
            "0",
            "65536",
            "x",
            "80/icmp",
            "82-80",
            "8000-8001:80-82",
            "::1:80:80",
            "[::1:80:80",
            "1.2.3:80:80",
            "web:80:80",
            "-1",
            "8080:",
            "80,mode=ingress",
            "8080:80,mode=elsewhere",
            "8080:80,ingress",
            ":",
        ] {
            assert!(text.parse::<Publish>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_collide_with_themselves_and_with_all_of_their_family() {
        let at = |host_ip: &str| PortMapping {
            host_port: 1,
            container_port: 1,
            protocol: "tcp".into(),
            host_ip: host_ip.into(),
            ingress: false,
        };
        for (one, other, expected) in [
            ("", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("::", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.2", false),
            ("::1", "::", true),
        ] {
            assert_eq!(collide(&at(one), &at(other)), expected, "{one} {other}");
        }
        let ingress = PortMapping { ingress: true, ..at("") };
        assert!(!collide(&ingress, &ingress) && collide(&ingress, &at("")));
        assert!(!collide(&at(""), &PortMapping { protocol: "udp".into(), ..at("") }));
    }
}
