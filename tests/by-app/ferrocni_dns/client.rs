//! A resolver that shows everything of an answer.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use domain::base::iana::Class;
use domain::base::opt::ExtendedError;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::AllRecordData;
use tests::Inside;

/// Longer than three servers that do not answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn server() -> SocketAddr {
    (names::ADDRESS, names::PORT).into()
}

/// An answer as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: String,
    /// `name ttl type data` of each record, in their order.
    pub(super) records: Vec<String>,
    pub(super) additional: Vec<String>,
    pub(super) is_cut: bool,
    /// The number of an extended error.
    pub(super) reason: Option<u16>,
    pub(super) edns: Option<u16>,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let message = Message::from_octets(bytes.clone()).unwrap_or_else(|_| panic!("{bytes:?}"));
        assert!(message.header().qr() && message.header().ra(), "{message:?}");
        let text = |record: domain::base::record::ParsedRecord<'_, Vec<u8>>| {
            let record = record.into_any_record::<AllRecordData<_, _>>().unwrap();
            format!("{} {} {} {}", record.owner(), record.ttl().as_secs(), record.rtype(), record.data())
        };
        let opt = message.opt();
        let additional =
            message.additional().unwrap().map(Result::unwrap).filter(|record| record.rtype() != Rtype::OPT);
        Self {
            code: message.opt_rcode().to_string(),
            records: message.answer().unwrap().map(|record| text(record.unwrap())).collect(),
            additional: additional.map(text).collect(),
            is_cut: message.header().tc(),
            reason: opt
                .as_ref()
                .and_then(|opt| opt.opt().first::<ExtendedError<_>>())
                .map(|error| error.code().to_int()),
            edns: opt.as_ref().map(domain::base::opt::OptRecord::udp_payload_size),
            bytes,
        }
    }

    /// What the records say, sorted.
    pub(super) fn data(&self) -> Vec<&str> {
        let mut data: Vec<_> = self.records.iter().map(|record| record.splitn(4, ' ').nth(3).unwrap()).collect();
        data.sort_unstable();
        data
    }
}

pub(super) fn query(id: u16, name: &str, kind: &str, edns: Option<u16>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    let name: Name<Vec<u8>> = name.parse().unwrap();
    builder.push((name, kind.parse::<Rtype>().unwrap(), Class::IN)).unwrap();
    let mut builder = builder.additional();
    if let Some(size) = edns {
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                Ok(())
            })
            .unwrap();
    }
    builder.finish()
}

/// What a name's records of a type say, sorted, after NOERROR.
#[track_caller]
pub(super) fn resolve(inside: &impl Inside, name: &str, kind: &str) -> Vec<String> {
    let answer = ask(inside, name, kind);
    assert_eq!(answer.code, "NOERROR", "{name} {kind}: {answer:?}");
    answer.data().into_iter().map(str::to_owned).collect()
}

#[track_caller]
pub(super) fn ask(inside: &impl Inside, name: &str, kind: &str) -> Answer {
    let answer =
        send(inside, &query(7, name, kind, Some(1232))).unwrap_or_else(|error| panic!("{name} {kind}: {error}"));
    assert_eq!(answer.bytes[..2], [0, 7]);
    answer
}

pub(super) fn send(inside: &impl Inside, query: &[u8]) -> io::Result<Answer> {
    send_to(inside, server(), query)
}

pub(super) fn send_to(inside: &impl Inside, server: SocketAddr, query: &[u8]) -> io::Result<Answer> {
    let socket = socket(inside, server)?;
    socket.send(query)?;
    receive(&socket)
}

pub(super) fn socket(inside: &impl Inside, server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0; 8], 0).into() };
    let socket = inside.namespaces().enter_network_only(|| UdpSocket::bind(any))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    inside.namespaces().enter_network_only(|| socket.connect(server))?;
    Ok(socket)
}

pub(super) fn receive(socket: &UdpSocket) -> io::Result<Answer> {
    let mut buffer = vec![0; 65535];
    let length = tests::receive(socket, &mut buffer)?;
    buffer.truncate(length);
    Ok(Answer::read(buffer))
}

pub(super) fn connect(inside: &impl Inside) -> io::Result<TcpStream> {
    let stream = inside.namespaces().enter_network_only(|| TcpStream::connect_timeout(&server(), PATIENCE))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

pub(super) fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(Answer::read(message))
}

#[track_caller]
pub(super) fn ask_tcp(inside: &impl Inside, name: &str, kind: &str) -> Answer {
    let mut stream = connect(inside).unwrap();
    stream.write_all(&framed(&query(7, name, kind, None))).unwrap();
    read(&mut stream).unwrap()
}
