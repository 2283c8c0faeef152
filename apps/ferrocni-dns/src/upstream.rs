//! Asking another server, with the asker's own words.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use names::redirect;
use netlink::Netns;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, UdpSocket};

use crate::buffer;
use crate::query::Query;
use crate::tcp;

/// How long a server has to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The length of a message's header in bytes.
const HEADER: usize = 12;

/// By which protocol a query came, and is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A query as it is passed on.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    bytes: Vec<u8>,
    /// Where the question ends in `bytes`.
    end: usize,
    /// The most that an answer over UDP may have, in bytes.
    size: usize,
}

impl Question {
    pub(crate) fn new(query: &Query<'_>) -> Self {
        let bytes = query.message.as_slice().to_vec();
        // An uncompressed name, a type and a class.
        let end = HEADER + usize::from(domain::base::name::ToLabelIter::compose_len(query.question.qname())) + 4;
        Self { bytes, end, size: query.size() }
    }

    /// The query as it came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Asks a server, from a namespace or from the host's. Whatever arrives that is not the answer is passed over.
    ///
    /// The query leaves with an identifier and from a port that nobody can know, and answers from elsewhere do not arrive
    /// (RFC 5452).
    ///
    /// # Errors
    /// That of the network; [`ErrorKind::TimedOut`] after [`PATIENCE`].
    pub(crate) async fn ask(
        &self,
        server: SocketAddr,
        transport: Transport,
        from: Option<&Netns>,
    ) -> io::Result<Vec<u8>> {
        let mut query = self.bytes.clone();
        query[..2].copy_from_slice(&random()?);
        let asked = async {
            match transport {
                Transport::Udp => self.over_udp(&query, datagrams(server, from)?).await,
                Transport::Tcp => self.over_tcp(&query, stream(server, from)?, server).await,
            }
        };
        let mut answer = tokio::time::timeout(PATIENCE, asked).await??;
        answer[..2].copy_from_slice(&self.bytes[..2]);
        Ok(answer)
    }

    async fn over_udp(&self, query: &[u8], socket: UdpSocket) -> io::Result<Vec<u8>> {
        socket.send(query).await?;
        loop {
            socket.readable().await?;
            let received = buffer::with(|buffer| {
                let length = socket.try_recv(buffer)?;
                let is_answer = length <= self.size && self.is_answered(query, &buffer[..length]);
                Ok::<_, io::Error>(is_answer.then(|| buffer[..length].to_vec()))
            });
            match received {
                Ok(Some(answer)) => return Ok(answer),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    async fn over_tcp(&self, query: &[u8], socket: TcpSocket, server: SocketAddr) -> io::Result<Vec<u8>> {
        let mut stream = socket.connect(server).await?;
        tcp::write(&mut stream, query).await?;
        loop {
            let answer = tcp::read(&mut stream).await?;
            if self.is_answered(query, &answer) {
                return Ok(answer);
            }
        }
    }

    /// Whether the message answers the query: its identifier, and its question, whose letters may have changed their case.
    pub(crate) fn is_answered(&self, query: &[u8], answer: &[u8]) -> bool {
        const IS_ANSWER: u8 = 0x80;
        const OPCODE: u8 = 0x78;
        let (name, rest) = (HEADER..self.end - 4, self.end - 4..self.end);
        answer.len() >= self.end
            && answer[..2] == query[..2]
            && answer[2] & IS_ANSWER != 0
            && answer[2] & OPCODE == query[2] & OPCODE
            && answer[4..6] == query[4..6]
            && answer[name.clone()].eq_ignore_ascii_case(&query[name])
            && answer[rest.clone()] == query[rest]
    }
}

fn random() -> io::Result<[u8; 2]> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// A socket that hears this server only, at a port of the kernel's choice, which is random.
fn datagrams(server: SocketAddr, from: Option<&Netns>) -> io::Result<UdpSocket> {
    let socket = inside(from, || {
        let socket = Socket::new(Domain::for_address(server), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        mark(&socket, from)?;
        socket.bind(&SocketAddr::new(any, 0).into())?;
        socket.connect(&server.into())?;
        Ok(socket)
    })?;
    UdpSocket::from_std(socket.into())
}

/// A connection that is not made yet.
fn stream(server: SocketAddr, from: Option<&Netns>) -> io::Result<TcpSocket> {
    let socket = inside(from, || {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        mark(&socket, from)?;
        Ok(socket)
    })?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// In a container what is asked may be intercepted, but not what we ask ourselves.
fn mark(socket: &Socket, from: Option<&Netns>) -> io::Result<()> {
    from.map_or(Ok(()), |_| socket.set_mark(redirect::MARK))
}

/// Opens something in a namespace, which is not left open: it would outlive its container.
fn inside<T: Send>(namespace: Option<&Netns>, open: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    match namespace {
        Some(namespace) => namespace.run(open).map_err(io::Error::other)?,
        None => open(),
    }
}
