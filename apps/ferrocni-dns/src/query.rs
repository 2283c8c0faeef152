//! What a container asks.

use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::name::ParsedName;
use domain::base::opt::Opt;
use domain::base::{Message, Question, Rtype};

/// The longest query that is read, in bytes: one question and what may be said about it.
pub(crate) const LONGEST: usize = 4096;

/// The most that an answer over UDP may have unless the query says otherwise, in bytes (RFC 1035, section 4.2.1).
const SMALL: u16 = 512;

/// A query that can be answered or passed on.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) message: &'a Message<[u8]>,
    pub(crate) question: Question<ParsedName<&'a [u8]>>,
    /// The name that is asked for as [`names::Name`] has it. A byte that no name has is a '?'.
    pub(crate) name: String,
    /// What the asker says by EDNS (RFC 6891).
    pub(crate) edns: Option<Edns>,
}

/// What an asker says by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// How much it can receive over UDP, in bytes.
    pub(crate) size: u16,
    /// Whether it wants DNSSEC's records.
    pub(crate) dnssec: bool,
}

/// Why something is no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It must not be answered: it is an answer itself, or too short to be anything.
    Noise,
    /// It is answered with this code.
    Refused(OptRcode),
}

impl<'a> Query<'a> {
    /// Reads a message. All of it has to be well formed, for it may be passed on.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Unfit> {
        let message = Message::from_slice(bytes).map_err(|_| Unfit::Noise)?;
        if message.header().qr() {
            return Err(Unfit::Noise);
        }
        if message.header().opcode() != Opcode::QUERY {
            return Err(Unfit::Refused(OptRcode::NOTIMP));
        }
        let malformed = Unfit::Refused(OptRcode::FORMERR);
        let question = message.sole_question().map_err(|_| malformed)?;
        if bytes.len() > LONGEST || question.qname().is_compressed() {
            return Err(malformed);
        }
        let edns = edns(message)?;
        Ok(Self { message, name: text_of(question.qname()), question, edns })
    }

    pub(crate) fn kind(&self) -> Rtype {
        self.question.qtype()
    }

    pub(crate) fn class(&self) -> Class {
        self.question.qclass()
    }

    /// The most that an answer over UDP may have, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.edns.map_or(SMALL, |edns| edns.size.max(SMALL)).into()
    }
}

/// Reads the records, of which only the one of EDNS is of interest.
fn edns(message: &Message<[u8]>) -> Result<Option<Edns>, Unfit> {
    let malformed = Unfit::Refused(OptRcode::FORMERR);
    let mut found = None;
    let additional = message.additional().map_err(|_| malformed)?;
    for record in additional {
        let record = record.map_err(|_| malformed)?;
        let Some(opt) = record.to_record::<Opt<_>>().map_err(|_| malformed)? else { continue };
        let opt = domain::base::opt::OptRecord::from(opt);
        if found.is_some() {
            return Err(malformed);
        }
        if opt.version() != 0 {
            return Err(Unfit::Refused(OptRcode::BADVERS));
        }
        found = Some(Edns { size: opt.udp_payload_size(), dnssec: opt.dnssec_ok() });
    }
    Ok(found)
}

fn text_of(name: &ParsedName<&[u8]>) -> String {
    let mut text = String::with_capacity(64);
    for label in name.iter().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| match byte.to_ascii_lowercase() {
            byte @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => char::from(byte),
            _ => '?',
        }));
    }
    text
}

/// Whether the other's answer is one that says that it cannot tell.
pub(crate) fn is_failure(code: Rcode) -> bool {
    matches!(code, Rcode::SERVFAIL | Rcode::REFUSED)
}
