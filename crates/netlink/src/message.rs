//! Reading messages and attributes: what does not fit is an error that says what was being read.

use std::net::IpAddr;

pub(crate) use netlink_message::{HEADER_LEN, Message, Refusal, Verdict, read_i32, read_u16, read_u32};

use crate::error::{Error, Result};

/// Takes the next message off the front of a datagram; `None` at its end.
pub(crate) fn next_message<'a>(datagram: &mut &'a [u8]) -> Result<Option<Message<'a>>> {
    if datagram.is_empty() {
        return Ok(None);
    }
    let (message, rest) = Message::split(datagram).ok_or(Error::Malformed { what: "a message header" })?;
    *datagram = rest;
    Ok(Some(message))
}

/// The attributes of a message, after a family header of `header_len` bytes.
pub(crate) fn attributes<'a>(message: &Message<'a>, header_len: usize, what: &'static str) -> Result<Attributes<'a>> {
    message.body.get(header_len..).map(|bytes| Attributes::new(bytes, what)).ok_or(Error::Malformed { what })
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
        self.whole(self.plain().u8())
    }

    pub(crate) fn u32(&self) -> Result<u32> {
        self.whole(self.plain().u32())
    }

    pub(crate) fn i32(&self) -> Result<i32> {
        self.whole(self.plain().i32())
    }

    /// A NUL-terminated text. Names and aliases need not be UTF-8: what is not is shown as U+FFFD.
    pub(crate) fn text(&self) -> String {
        self.plain().text_lossy().into_owned()
    }

    pub(crate) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.plain().array()
    }

    /// An IPv4 or IPv6 address, told apart by length.
    pub(crate) fn ip(&self) -> Result<IpAddr> {
        let v4 = self.array::<4>().map(IpAddr::from);
        self.whole(v4.or_else(|| self.array::<16>().map(IpAddr::from)))
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

    fn plain(&self) -> netlink_message::Attribute<'a> {
        netlink_message::Attribute { kind: self.kind, value: self.value }
    }

    fn whole<T>(&self, value: Option<T>) -> Result<T> {
        value.ok_or(Error::Malformed { what: self.what })
    }
}

/// The attributes of a message or of a nested attribute.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    all: netlink_message::Attributes<'a>,
    what: &'static str,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Attributes { all: netlink_message::Attributes::new(bytes), what }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.all.is_exhausted() {
            return None;
        }
        let Some(attribute) = self.all.next() else {
            self.all = netlink_message::Attributes::new(&[]);
            return Some(Err(Error::Malformed { what: self.what }));
        };
        Some(Ok(Attribute { kind: attribute.kind, value: attribute.value, what: self.what }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_ends_within_a_message_is_an_error() {
        let mut whole: &[u8] = &[16, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        assert!(next_message(&mut &whole[..15]).is_err());
        assert!(next_message(&mut whole).expect("whole").is_some());
        assert!(next_message(&mut whole).expect("its end").is_none());
    }

    #[test]
    fn a_list_of_attributes_that_ends_within_one_is_an_error_once() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0, 7];
        let found: Vec<_> = Attributes::new(&bytes, "a test").collect();
        assert!(matches!(found[..], [Ok(_), Err(Error::Malformed { what: "a test" })]), "{found:?}");
    }
}
