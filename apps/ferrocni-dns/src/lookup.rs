//! What a container would be answered, for those who ask for it.

use std::net::SocketAddr;

use domain::base::iana::Class;
use domain::base::opt::ExtendedError;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::AllRecordData;
use names::wire::{Answered, Lookup, Question};

use crate::answer::Outcome;
use crate::server::Server;
use crate::upstream::Transport;

/// What we can receive from other servers, in bytes.
const SIZE: u16 = 4096;

/// Asks for a container, by the way that its own questions go.
pub(crate) async fn look_up(server: &Server, question: &Question) -> Result<Lookup, String> {
    let asker = server.directory.borrow().of_container(&question.container).map(|entry| entry.record.namespace.id());
    let asker = asker.ok_or_else(|| format!("there is no record of container {:?}", question.container))?;
    let query = query(question)?;
    let (answer, from) = match server.answer(asker, &query, Transport::Tcp) {
        Outcome::Silence => return Err("this is not answered".to_owned()),
        Outcome::Answer(answer) => (answer, None),
        Outcome::Forward(mut forward) => {
            // Not every server hears TCP.
            forward.transport = Transport::Udp;
            forward.answer().await
        }
    };
    read(answer, from).map_err(|error| match from {
        Some(server) => format!("{server} has sent an answer that cannot be read: {error}"),
        None => error.to_string(),
    })
}

fn query(question: &Question) -> Result<Vec<u8>, String> {
    let name: Name<Vec<u8>> =
        question.name.parse().map_err(|error| format!("{:?} is no DNS name: {error}", question.name))?;
    let kind: Rtype = question.kind.parse().map_err(|_| format!("{:?} is no type of record", question.kind))?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, kind, Class::IN)).map_err(|error| error.to_string())?;
    let mut builder = builder.additional();
    let edns = builder.opt(|opt| {
        opt.set_udp_payload_size(SIZE);
        Ok(())
    });
    edns.map_err(|error| error.to_string())?;
    Ok(builder.finish())
}

fn read(answer: Vec<u8>, server: Option<SocketAddr>) -> Result<Lookup, ParseError> {
    let message = Message::from_octets(answer).map_err(|_| ParseError::ShortInput)?;
    let mut records = Vec::new();
    for record in message.answer()?.limit_to::<AllRecordData<_, _>>() {
        let record = record?;
        records.push(Answered {
            name: record.owner().to_string(),
            kind: record.rtype().to_string(),
            ttl: record.ttl().as_secs(),
            data: record.data().to_string(),
        });
    }
    let reason =
        message.opt().and_then(|opt| opt.opt().first::<ExtendedError<_>>()).map(|error| error.code().to_string());
    Ok(Lookup { code: message.opt_rcode().to_string(), records, server, reason })
}
