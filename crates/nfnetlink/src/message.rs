//! Writing a request, and taking the kernel's answers apart.

use nix::libc;

use crate::{Attributes, flags};

/// Bytes of the netlink header and of the netfilter header (`nfgenmsg`) behind it.
const NETLINK_HEADER: usize = 16;
const HEADERS: usize = NETLINK_HEADER + 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// A request under construction: headers, then attributes in the order in which they are written.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Message {
    /// An empty request of `operation` to `subsystem`; [`flags::REQUEST`] is always added.
    #[must_use]
    pub fn new(subsystem: u8, operation: u8, flags: u16, family: u8) -> Self {
        Self::with_type(u16::from_be_bytes([subsystem, operation]), flags, family, 0)
    }

    /// A request with the netlink type spelled out; batch markers name their subsystem in `resource`.
    pub(crate) fn with_type(kind: u16, flags: u16, family: u8, resource: u16) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | flags::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[family, 0]);
        bytes.extend_from_slice(&resource.to_be_bytes());
        Self { bytes, too_long: false }
    }

    /// What it asks for, in its subsystem's numbers.
    pub(crate) fn operation(&self) -> u8 {
        let [_subsystem, operation] = u16::from_ne_bytes([self.bytes[4], self.bytes[5]]).to_be_bytes();
        operation
    }

    /// Appends an attribute with this payload.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.begin(kind);
        self.bytes.extend_from_slice(value);
        self.end(start);
        self
    }

    /// Appends text and its terminating NUL.
    pub fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        let start = self.begin(kind);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.end(start);
        self
    }

    /// Appends an 8-bit number.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Appends a 16-bit number in network byte order.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a 32-bit number in network byte order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a 64-bit number in network byte order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends an attribute that holds the attributes written by `fill`.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.begin(kind | NESTED);
        fill(self);
        self.end(start);
        self
    }

    /// Adds flags to those given at the start.
    pub fn add_flags(&mut self, more: u16) {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | more;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    /// The attributes written so far.
    #[must_use]
    pub fn attributes(&self) -> &[u8] {
        &self.bytes[HEADERS..]
    }

    /// The finished message, or nothing if an attribute outgrew its 16-bit length.
    pub(crate) fn finish(&mut self, sequence: u32) -> Option<&[u8]> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|_| !self.too_long)?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Some(&self.bytes)
    }

    fn begin(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn end(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            self.too_long = true;
            0
        });
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One message of the kernel's, borrowed from the receive buffer.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// What a [`Reply`] means for the request it answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An object: there may be more.
    Object,
    /// The end: done, or acknowledged.
    Done,
    /// The end: refused with this errno.
    Refused(i32),
}

impl<'a> Reply<'a> {
    /// `NLM_F_DUMP_INTR`, `NLM_F_CAPPED`, `NLM_F_ACK_TLVS`.
    const INTERRUPTED: u16 = 0x10;
    const CAPPED: u16 = 0x100;
    const WITH_ATTRIBUTES: u16 = 0x200;
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    /// `NLMSGERR_ATTR_MSG`: the kernel's explanation.
    const EXPLANATION: u16 = 1;

    /// Splits the first message off `bytes`; nothing if there is none or it does not fit.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = bytes.first_chunk::<NETLINK_HEADER>()?;
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = usize::try_from(word(0)).ok()?;
        let reply = Self {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: word(8),
            payload: bytes.get(NETLINK_HEADER..length)?,
        };
        Some((reply, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
    }

    /// The sequence number of the request that this answers.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether objects changed while they were dumped, so that the answer may be inconsistent.
    pub(crate) fn interrupted(&self) -> bool {
        self.flags & Self::INTERRUPTED != 0
    }

    /// The operation within its subsystem.
    #[must_use]
    pub fn operation(&self) -> u8 {
        self.kind.to_be_bytes()[1]
    }

    /// The object's attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.payload.get(HEADERS - NETLINK_HEADER..).unwrap_or(&[]))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let code = self.payload.first_chunk().map(|code| i32::from_ne_bytes(*code));
        match (self.kind, code) {
            (Self::ERROR | Self::DONE, Some(0)) | (Self::DONE, None) => Verdict::Done,
            (Self::ERROR | Self::DONE, Some(code)) => Verdict::Refused(code.saturating_neg()),
            // Cut off: whatever it says, it does not say that all is well.
            (Self::ERROR, None) => Verdict::Refused(libc::EBADMSG),
            _ => Verdict::Object,
        }
    }

    /// The kernel's own words about a refusal, where it has any.
    pub(crate) fn explanation(&self) -> Option<&'a str> {
        if self.kind != Self::ERROR || self.flags & Self::WITH_ATTRIBUTES == 0 {
            return None;
        }
        let echoed = self.payload.get(4..)?;
        let skip = if self.flags & Self::CAPPED == 0 {
            usize::try_from(u32::from_ne_bytes(*echoed.first_chunk()?)).ok()?.next_multiple_of(4)
        } else {
            NETLINK_HEADER
        };
        Attributes::new(echoed.get(skip..)?).find(Self::EXPLANATION)?.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: i32, flags: u16) -> Vec<u8> {
        let mut bytes = 0_u32.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&Reply::ERROR.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&(-errno).to_ne_bytes());
        bytes.extend_from_slice(&[16, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&[8, 0, 1, 0, b'n', b'o', b'!', 0]);
        let length = u32::try_from(bytes.len()).expect("a short message");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_refusal_carries_errno_and_the_kernels_words() {
        for flags in [Reply::WITH_ATTRIBUTES, Reply::WITH_ATTRIBUTES | Reply::CAPPED] {
            let bytes = refusal(17, flags);
            let (reply, rest) = Reply::split(&bytes).expect("a whole message");
            assert_eq!(reply.verdict(), Verdict::Refused(17));
            assert_eq!(reply.explanation(), Some("no!"));
            assert_eq!(reply.sequence(), 9);
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn every_truncation_of_a_refusal_is_survived() {
        let bytes = refusal(2, Reply::WITH_ATTRIBUTES);
        for end in 0..bytes.len() {
            assert!(Reply::split(&bytes[..end]).is_none());
            let mut shorter = bytes[..end].to_vec();
            if let Some(length) = shorter.first_chunk_mut::<4>() {
                *length = u32::try_from(end).expect("a short message").to_ne_bytes();
            }
            if let Some((reply, _)) = Reply::split(&shorter) {
                assert!(matches!(reply.verdict(), Verdict::Refused(2 | libc::EBADMSG)), "{end}");
                let _ = (reply.explanation(), reply.attributes().count());
            }
        }
    }

    #[test]
    fn an_attribute_longer_than_its_length_field_is_not_sent() {
        let mut message = Message::new(10, 0, 0, 0);
        message.bytes(1, &vec![0; 70_000]);
        assert!(message.finish(1).is_none());
    }
}
