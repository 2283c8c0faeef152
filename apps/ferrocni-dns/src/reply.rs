//! Answers of our own.

use std::net::IpAddr;
use std::str::FromStr as _;

use domain::base::iana::{ExtendedErrorCode, OptRcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError};
use domain::base::opt::ExtendedError;
use domain::base::wire::Composer;
use domain::base::{Message, MessageBuilder, Name, StaticCompressor, Ttl};
use domain::rdata::{A, Aaaa, Ptr, Srv};

use crate::query::Query;

/// What we can receive over UDP, in bytes, and the most that we send: no link on the way has to fragment it.
const SIZE: u16 = 1232;
/// The record of EDNS with an extended error that has no text, in bytes.
const OPT: usize = 11 + 6;

/// What is answered to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: OptRcode,
    /// Answers to the question.
    pub(crate) answers: Vec<Data>,
    /// Addresses of what the answers lead to.
    pub(crate) additional: Vec<(names::Name, IpAddr)>,
    /// How long both may be kept, in seconds.
    pub(crate) ttl: u32,
    /// Why there is no answer, if that needs to be said (RFC 8914).
    pub(crate) reason: Option<ExtendedErrorCode>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Address(IpAddr),
    /// A name, to a reverse question.
    Pointer(names::Name),
    /// A port of a container (RFC 2782).
    Service {
        port: u16,
        target: names::Name,
    },
}

impl Reply {
    /// An answer without records.
    pub(crate) fn of(code: OptRcode) -> Self {
        Self { code, answers: Vec::new(), additional: Vec::new(), ttl: 0, reason: None }
    }

    pub(crate) fn because(mut self, reason: ExtendedErrorCode) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The message over UDP, cut off where the asker cannot receive more.
    pub(crate) fn for_udp(&self, query: &Query<'_>) -> Vec<u8> {
        self.write(query, query.size().min(SIZE.into()))
    }

    /// The whole message.
    pub(crate) fn for_tcp(&self, query: &Query<'_>) -> Vec<u8> {
        self.write(query, u16::MAX.into())
    }

    fn write(&self, query: &Query<'_>, limit: usize) -> Vec<u8> {
        // Nothing but the limit can be in the way, and a question and EDNS fit in any.
        self.try_write(query, limit).unwrap_or_default()
    }

    fn try_write(&self, query: &Query<'_>, limit: usize) -> Result<Vec<u8>, PushError> {
        let mut question = begin(query.message, self.code).question();
        question.push(query.question)?;
        let mut answer = question.answer();
        answer.as_builder_mut().set_push_limit(limit - if query.edns.is_some() { OPT } else { 0 });
        let is_whole = self.answers.iter().all(|data| data.push(&mut answer, query, self.ttl).is_ok());
        answer.header_mut().set_tc(!is_whole);
        let mut additional = answer.additional();
        // Whoever needs one that does not fit asks for it.
        let _ = is_whole && self.additional.iter().all(|host| push_host(&mut additional, host, self.ttl).is_ok());
        additional.as_builder_mut().clear_push_limit();
        if let Some(edns) = query.edns {
            push_edns(&mut additional, edns.dnssec, self.code, self.reason)?;
        }
        Ok(additional.finish().into_target())
    }
}

/// An answer to what cannot be read further than its header.
pub(crate) fn refusal(message: &Message<[u8]>, code: OptRcode) -> Vec<u8> {
    let mut additional = begin(message, code).additional();
    if code.to_int() > 15 {
        // Only EDNS has room for such a code.
        let _ = push_edns(&mut additional, false, code, None);
    }
    additional.finish().into_target()
}

fn begin(query: &Message<[u8]>, code: OptRcode) -> MessageBuilder<StaticCompressor<Vec<u8>>> {
    // A vector takes whatever is appended to it.
    let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(512)))
        .unwrap_or_else(|_| unreachable!("a vector has room for a header"));
    let header = builder.header_mut();
    header.set_id(query.header().id());
    header.set_qr(true);
    header.set_opcode(query.header().opcode());
    header.set_aa(true);
    header.set_rd(query.header().rd());
    header.set_ra(true);
    header.set_cd(query.header().cd());
    header.set_rcode(code.rcode());
    builder
}

fn push_host<T: Composer>(
    additional: &mut AdditionalBuilder<T>,
    (name, address): &(names::Name, IpAddr),
    ttl: u32,
) -> Result<(), PushError> {
    let ttl = Ttl::from_secs(ttl);
    match address {
        IpAddr::V4(address) => additional.push((wire(name), ttl, A::new(*address))),
        IpAddr::V6(address) => additional.push((wire(name), ttl, Aaaa::new(*address))),
    }
}

fn push_edns<T: Composer>(
    additional: &mut AdditionalBuilder<T>,
    dnssec: bool,
    code: OptRcode,
    reason: Option<ExtendedErrorCode>,
) -> Result<(), PushError> {
    additional.opt(|opt| {
        opt.set_udp_payload_size(SIZE);
        opt.set_dnssec_ok(dnssec);
        opt.set_rcode(code);
        reason.map_or(Ok(()), |reason| opt.push(&ExtendedError::<&[u8]>::from(reason)))
    })
}

impl Data {
    fn push<T: Composer>(&self, answer: &mut AnswerBuilder<T>, query: &Query<'_>, ttl: u32) -> Result<(), PushError> {
        let (owner, class, ttl) = (query.question.qname(), query.class(), Ttl::from_secs(ttl));
        match self {
            Self::Address(IpAddr::V4(address)) => answer.push((owner, class, ttl, A::new(*address))),
            Self::Address(IpAddr::V6(address)) => answer.push((owner, class, ttl, Aaaa::new(*address))),
            Self::Pointer(name) => answer.push((owner, class, ttl, Ptr::new(wire(name)))),
            Self::Service { port, target } => answer.push((owner, class, ttl, Srv::new(0, 0, *port, wire(target)))),
        }
    }
}

/// Every name of ours can be in a packet.
fn wire(name: &names::Name) -> Name<Vec<u8>> {
    Name::from_str(name.as_str()).unwrap_or_else(|_| Name::root_vec())
}
