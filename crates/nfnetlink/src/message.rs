//! Writing a request, and taking the kernel's answers apart.

use netlink_message::{Attributes, HEADER_LEN};

use crate::flags;

/// Bytes of the netlink header and of the netfilter header (`nfgenmsg`) behind it.
const HEADERS: usize = HEADER_LEN + 4;
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
pub struct Reply<'a>(pub(crate) netlink_message::Message<'a>);

impl<'a> Reply<'a> {
    /// What it is, or tells of, in its subsystem's numbers.
    #[must_use]
    pub fn operation(&self) -> u8 {
        let [_subsystem, operation] = self.0.kind.to_be_bytes();
        operation
    }

    /// The attributes, behind the netfilter header.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0.body.get(HEADERS - HEADER_LEN..).unwrap_or(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subsystem;

    fn written(fill: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new(subsystem::NFTABLES, 0, 0, 0);
        fill(&mut message);
        message.attributes().to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = written(|message| {
            message.text(1, "abc").be32(2, 7).be16(3, 80).be64(4, 9);
            message.nest(5, |inner| {
                inner.bytes(6, &[1, 2, 3]);
            });
        });
        let all = Attributes::new(&bytes);
        assert_eq!(all.find(1).and_then(|a| a.text()), Some("abc"));
        assert_eq!(all.find(2).and_then(|a| a.be32()), Some(7));
        assert_eq!(all.find(3).and_then(|a| a.be16()), Some(80));
        assert_eq!(all.find(4).and_then(|a| a.be64()), Some(9));
        assert_eq!(all.inside(5).find(6).map(|a| a.value), Some(&[1, 2, 3][..]));
        assert_eq!(all.count(), 5);
    }

    #[test]
    fn every_truncation_of_a_message_is_survived() {
        let bytes = written(|message| {
            message.nest(1, |inner| {
                inner.text(2, "x").be32(3, 4);
            });
            message.bytes(4, &[0; 9]);
        });
        for end in 0..=bytes.len() {
            for attribute in Attributes::new(&bytes[..end]) {
                let _ = (attribute.text(), attribute.be32(), attribute.nested().count());
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
