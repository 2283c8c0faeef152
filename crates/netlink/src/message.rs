//! The wire format, read side: messages in a datagram, attributes in a message, the kernel's verdict.
//!
//! Nothing here indexes without a length check, so no input can panic.

use std::net::IpAddr;

use netlink_packet_core::NLA_TYPE_MASK;

use crate::error::{Error, Result};

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LEN: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
/// Types below belong to netlink itself (NLMSG_MIN_TYPE).
const FIRST_OWN_TYPE: u16 = 16;

const NLM_F_DUMP_INTR: u16 = 0x10;
/// The verdict does not repeat the request's payload.
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes with the kernel's words follow the verdict.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// One netlink message, still in the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// What the kernel says a message means for the request it answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An object, or nothing that matters.
    None,
    /// The request was carried out, or the dump is complete.
    Done,
    /// The request was refused: errno, and the kernel's words if it had any.
    Refused(i32, Option<String>),
}

impl<'a> Message<'a> {
    /// A message for tests of what reads its body.
    #[cfg(test)]
    pub(crate) fn of(kind: u16, body: &'a [u8]) -> Self {
        Message { kind, flags: 0, sequence: 0, body }
    }

    /// The dump saw a change while it ran, so objects may be missing or doubled.
    pub(crate) fn is_interrupted_dump(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// Whether it carries a link, address, route, ... rather than a verdict.
    pub(crate) fn is_object(&self) -> bool {
        self.kind >= FIRST_OWN_TYPE
    }

    pub(crate) fn verdict(&self) -> Result<Verdict> {
        match self.kind {
            NLMSG_ERROR => self.error_verdict(),
            NLMSG_DONE => Ok(done_verdict(self.body)),
            NLMSG_OVERRUN => Err(Error::Malformed { what: "an overrun message" }),
            _ => Ok(Verdict::None),
        }
    }

    /// `struct nlmsgerr`: a negative errno, the request's header, its payload unless capped, attributes.
    fn error_verdict(&self) -> Result<Verdict> {
        let code = read_i32(self.body, 0).ok_or(Error::Malformed { what: "an acknowledgement" })?;
        if code == 0 {
            return Ok(Verdict::Done);
        }
        Ok(Verdict::Refused(code.saturating_neg(), self.words()))
    }

    fn words(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let request_len = read_u32(self.body, 4)? as usize;
        let repeated = if self.flags & NLM_F_CAPPED != 0 { HEADER_LEN } else { align(request_len) };
        message_attribute(self.body.get(4usize.checked_add(repeated)?..)?)
    }

    /// The attributes after a family header of `header_len` bytes.
    pub(crate) fn attributes(&self, header_len: usize, what: &'static str) -> Result<Attributes<'a>> {
        self.body.get(header_len..).map(|bytes| Attributes::new(bytes, what)).ok_or(Error::Malformed { what })
    }
}

fn message_attribute(attributes: &[u8]) -> Option<String> {
    let mut attributes = Attributes::new(attributes, "an extended acknowledgement");
    attributes
        .find_map(|attribute| attribute.ok().filter(|attribute| attribute.kind == NLMSGERR_ATTR_MSG))
        .map(|attribute| attribute.text())
}

/// The end of a dump carries an errno since Linux 4.15, and nothing before.
fn done_verdict(body: &[u8]) -> Verdict {
    match read_i32(body, 0) {
        Some(code) if code < 0 => {
            Verdict::Refused(code.saturating_neg(), message_attribute(body.get(4..).unwrap_or_default()))
        }
        _ => Verdict::Done,
    }
}

/// Takes the next message off the front of a datagram; `None` at its end.
pub(crate) fn next_message<'a>(datagram: &mut &'a [u8]) -> Result<Option<Message<'a>>> {
    if datagram.is_empty() {
        return Ok(None);
    }
    let malformed = Error::Malformed { what: "a message header" };
    let Some(message) = split_message(datagram) else {
        return Err(malformed);
    };
    Ok(Some(message))
}

fn split_message<'a>(datagram: &mut &'a [u8]) -> Option<Message<'a>> {
    let bytes: &'a [u8] = datagram;
    let length = read_u32(bytes, 0)? as usize;
    let message = Message {
        kind: read_u16(bytes, 4)?,
        flags: read_u16(bytes, 6)?,
        sequence: read_u32(bytes, 8)?,
        body: bytes.get(HEADER_LEN..length)?,
    };
    *datagram = bytes.get(align(length)..).unwrap_or_default();
    Some(message)
}

fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// One attribute: its type without the flag bits, and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    what: &'static str,
}

impl<'a> Attribute<'a> {
    pub(crate) fn u8(&self) -> Result<u8> {
        self.value.first().copied().ok_or(Error::Malformed { what: self.what })
    }

    pub(crate) fn u32(&self) -> Result<u32> {
        read_u32(self.value, 0).ok_or(Error::Malformed { what: self.what })
    }

    pub(crate) fn i32(&self) -> Result<i32> {
        read_i32(self.value, 0).ok_or(Error::Malformed { what: self.what })
    }

    /// A NUL-terminated text. Names and aliases need not be UTF-8: what is not is shown as U+FFFD.
    pub(crate) fn text(&self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    pub(crate) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.value.try_into().ok()
    }

    /// An IPv4 or IPv6 address, told apart by length.
    pub(crate) fn ip(&self) -> Result<IpAddr> {
        if let Some(octets) = self.array::<4>() {
            return Ok(octets.into());
        }
        self.array::<16>().map(IpAddr::from).ok_or(Error::Malformed { what: self.what })
    }

    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value, self.what)
    }

    /// The first nested attribute of this type.
    pub(crate) fn nested_of(&self, kind: u16) -> Result<Option<Attribute<'a>>> {
        for attribute in self.nested() {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }
}

/// The attributes of a message or of a nested attribute.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(rest: &'a [u8], what: &'static str) -> Self {
        Attributes { rest, what }
    }

    /// `struct nlattr`: length with its own four bytes, type with two flag bits, value, padding to four.
    fn split(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(read_u16(self.rest, 0)?);
        let kind = read_u16(self.rest, 2)? & NLA_TYPE_MASK;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(align(length)..).unwrap_or_default();
        Some(Attribute { kind, value, what: self.what })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let attribute = self.split().ok_or(Error::Malformed { what: self.what });
        if attribute.is_err() {
            self.rest = &[];
        }
        Some(attribute)
    }
}

pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.get(..2)?.try_into().ok()?))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

pub(crate) fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + body.len()).expect("short");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    fn refusal(flags: u16, repeated_payload: &[u8], words: &[u8]) -> Vec<u8> {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend(message(16, 0, repeated_payload));
        body.extend(u16::try_from(4 + words.len()).expect("short").to_ne_bytes());
        body.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        body.extend(words);
        message(NLMSG_ERROR, flags, &body)
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        next_message(&mut &*bytes).expect("whole").expect("one").verdict().expect("a verdict")
    }

    #[test]
    fn the_kernels_words_are_found_behind_the_repeated_request() {
        let expected = Verdict::Refused(17, Some("Nexthop has invalid gateway".to_owned()));
        assert_eq!(verdict(&refusal(NLM_F_ACK_TLVS, &[1; 12], b"Nexthop has invalid gateway\0")), expected);
        assert_eq!(verdict(&refusal(NLM_F_ACK_TLVS | NLM_F_CAPPED, &[], b"Nexthop has invalid gateway\0")), expected);
        assert_eq!(verdict(&refusal(0, &[1; 12], b"ignored")), Verdict::Refused(17, None));
    }

    #[test]
    fn no_truncation_of_an_answer_panics() {
        let whole = refusal(NLM_F_ACK_TLVS, &[1; 12], b"words\0");
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            assert!(next_message(&mut &*cut).is_err() || end == 0, "{end}");
            if end >= HEADER_LEN {
                cut[..4].copy_from_slice(&u32::try_from(end).expect("short").to_ne_bytes());
                let mut datagram = &*cut;
                let _ = next_message(&mut datagram).expect("a shorter message").expect("one").verdict();
            }
        }
    }

    #[test]
    fn an_attribute_that_claims_too_much_or_too_little_ends_the_list() {
        for bytes in [&[8, 0, 1, 0, 0, 0][..], &[3, 0, 1, 0], &[0, 0, 1, 0], &[1, 0]] {
            let found: Vec<_> = Attributes::new(bytes, "a test").collect();
            assert_eq!(found.len(), 1);
            assert!(found[0].is_err());
        }
    }

    #[test]
    fn the_last_attribute_needs_no_padding() {
        let bytes = [5, 0, 1, 0x80, 9, 0, 0, 0, 5, 0, 2, 0, 8];
        let values: Vec<_> = Attributes::new(&bytes, "a test")
            .map(|attribute| attribute.expect("whole"))
            .map(|attribute| (attribute.kind, attribute.u8().expect("a byte")))
            .collect();
        assert_eq!(values, [(1, 9), (2, 8)]);
    }
}
