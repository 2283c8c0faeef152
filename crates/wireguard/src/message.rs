//! Writing generic netlink requests.

/// Bytes of the netlink header and of the generic one (`genlmsghdr`) behind it.
pub(crate) const HEADERS: usize = netlink_message::HEADER_LEN + 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

/// A request under construction: headers, then attributes in the order in which they are written. None of them can outgrow its
/// 16-bit length: who writes lists keeps them short.
#[derive(Debug, Clone)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(family: u16, command: u8, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&family.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[command, 1, 0, 0]);
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.begin(kind);
        self.0.extend_from_slice(value);
        self.end(start);
        self
    }

    /// An attribute that holds those that `fill` writes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.begin(kind | NESTED);
        fill(self);
        self.end(start);
        self
    }

    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    fn begin(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn end(&mut self, start: usize) {
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use netlink_message::{Attributes, Message as Read};

    #[test]
    fn what_is_written_can_be_read() {
        let mut message = Message::new(31, 1, NLM_F_ACK);
        message.bytes(3, &[7]).nest(8, |list| {
            list.nest(0, |one| {
                one.bytes(1, b"key");
            });
        });
        let bytes = message.finish(9);
        let (read, rest) = Read::split(&bytes).unwrap();
        assert_eq!((read.kind, read.flags, read.sequence, rest.len()), (31, 5, 9, 0));
        let attributes = Attributes::new(&bytes[HEADERS..]);
        assert_eq!(attributes.find(3).unwrap().u8(), Some(7));
        assert_eq!(attributes.inside(8).inside(0).find(1).unwrap().value, b"key");
    }
}
