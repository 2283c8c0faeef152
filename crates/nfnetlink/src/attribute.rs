//! Reading attributes: whatever the bytes say, nothing here reads past them.

/// Kind bits that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`), not part of the number.
const KIND_MASK: u16 = 0x3fff;

/// One attribute of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, without the flag bits.
    pub kind: u16,
    /// Its payload, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The payload as a 32-bit number in network byte order, if it is four bytes long.
    #[must_use]
    pub fn be32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.try_into().ok()?))
    }

    /// The payload as a 16-bit number in network byte order, if it is two bytes long.
    #[must_use]
    pub fn be16(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.value.try_into().ok()?))
    }

    /// The payload as a 64-bit number in network byte order, if it is eight bytes long.
    #[must_use]
    pub fn be64(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.value.try_into().ok()?))
    }

    /// The payload as text, up to its first NUL, if that is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(self.value.get(..end)?).ok()
    }

    /// The attributes inside this one.
    #[must_use]
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// The attributes in a range of bytes. Iteration ends at the first one that does not fit.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads `bytes` as a list of attributes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The first attribute with this number.
    #[must_use]
    pub fn find(mut self, kind: u16) -> Option<Attribute<'a>> {
        Iterator::find(&mut self, |attribute| attribute.kind == kind)
    }

    /// The attributes inside the first one with this number; none if it is absent.
    #[must_use]
    pub fn inside(self, kind: u16) -> Attributes<'a> {
        self.find(kind).map_or(Attributes::new(&[]), |attribute| attribute.nested())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, _) = self.rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK;
        let value = self.rest.get(4..length)?;
        // The last attribute's padding may be missing.
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Attribute { kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, subsystem};

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
    fn a_length_below_the_header_or_beyond_the_end_ends_the_list() {
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0]);
            assert_eq!(Attributes::new(&bytes).count(), 0, "length {length}");
        }
    }
}
