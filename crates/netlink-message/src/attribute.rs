use std::borrow::Cow;

use crate::{read_i32, read_u16, read_u32};

/// Bits of the type that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`), not part of the number.
const TYPE_MASK: u16 = 0x3fff;

/// An attribute of a message: `struct nlattr`, or `struct rtattr`, which is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, without the flag bits.
    pub kind: u16,
    /// Its payload, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The payload's first byte.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// The payload's first four bytes as a number in the host's byte order.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        read_u32(self.value, 0)
    }

    /// The same, signed.
    #[must_use]
    pub fn i32(&self) -> Option<i32> {
        read_i32(self.value, 0)
    }

    /// The payload as a 16-bit number in network byte order, if it is two bytes long.
    #[must_use]
    pub fn be16(&self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The payload as a 32-bit number in network byte order, if it is four bytes long.
    #[must_use]
    pub fn be32(&self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The payload as a 64-bit number in network byte order, if it is eight bytes long.
    #[must_use]
    pub fn be64(&self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The payload, if it is `N` bytes long.
    #[must_use]
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.value.try_into().ok()
    }

    /// The payload as text, up to its first NUL, if that is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.until_nul()).ok()
    }

    /// The payload as text, up to its first NUL, with U+FFFD for what is not UTF-8: names and aliases need not be.
    #[must_use]
    pub fn text_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.until_nul())
    }

    /// The payload as a sequence of attributes, for an attribute that holds others.
    #[must_use]
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }

    fn until_nul(&self) -> &'a [u8] {
        self.value.split(|byte| *byte == 0).next().unwrap_or_default()
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

    /// Whether all bytes have been read. When the iteration has ended and they have not, what follows is no attribute.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.rest.is_empty()
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

    /// `struct nlattr`: the length with its own four bytes, the type, the payload, padding to four.
    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(read_u16(self.rest, 0)?);
        let kind = read_u16(self.rest, 2)? & TYPE_MASK;
        let value = self.rest.get(4..length)?;
        // The last attribute's padding may be missing.
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attribute_needs_no_padding() {
        let bytes = [5, 0, 1, 0x80, 9, 0, 0, 0, 5, 0, 2, 0, 8];
        let values: Vec<_> = Attributes::new(&bytes).map(|attribute| (attribute.kind, attribute.u8())).collect();
        assert_eq!(values, [(1, Some(9)), (2, Some(8))]);
    }

    #[test]
    fn an_attribute_that_claims_too_much_or_too_little_ends_the_list() {
        for bytes in [&[8, 0, 1, 0, 0, 0][..], &[3, 0, 1, 0], &[0, 0, 1, 0], &[255, 255, 1, 0], &[1, 0]] {
            let mut attributes = Attributes::new(bytes);
            assert_eq!(attributes.next(), None);
            assert!(!attributes.is_exhausted(), "{bytes:?}");
        }
        assert!(Attributes::new(&[]).is_exhausted());
    }

    #[test]
    fn numbers_in_network_order_are_as_long_as_they_say() {
        let attribute = Attribute { kind: 1, value: &[0, 80] };
        assert_eq!((attribute.be16(), attribute.be32(), attribute.be64()), (Some(80), None, None));
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        let attribute = |value| Attribute { kind: 1, value };
        assert_eq!(attribute(b"eth0\0\0").text(), Some("eth0"));
        assert_eq!(attribute(b"eth0").text(), Some("eth0"));
        assert_eq!(attribute(b"").text(), Some(""));
        assert_eq!(attribute(b"\xff0\0").text(), None);
        assert_eq!(attribute(b"\xff0\0").text_lossy(), "\u{fffd}0");
    }
}
