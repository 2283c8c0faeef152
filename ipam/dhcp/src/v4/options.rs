use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dhcproto::Decoder;
use dhcproto::v4::borrowed::DhcpOptionIterator;
use dhcproto::v4::{MessageType, OptionCode};

use crate::names;

/// Where the options of a message begin, after the fixed part and the cookie.
const START: usize = 240;
const COOKIE: [u8; 4] = dhcproto::v4::MAGIC;
/// The fields `file` and `sname`, which may hold more options (RFC 2131, section 4.1).
const FILE: std::ops::Range<usize> = 108..236;
const SNAME: std::ops::Range<usize> = 44..108;

/// The options of one message, by code, each in one piece (RFC 3396).
#[derive(Debug, Default)]
pub(super) struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    pub(super) fn read(message: &[u8]) -> Self {
        let mut options = Self::default();
        if message.get(START - COOKIE.len()..START) != Some(&COOKIE) {
            return options;
        }
        options.add(message.get(START..));
        let overload = options.0.get(&OptionCode::OptionOverload.into()).and_then(|value| value.first().copied());
        if let Some(1 | 3) = overload {
            options.add(message.get(FILE));
        }
        if let Some(2 | 3) = overload {
            options.add(message.get(SNAME));
        }
        options
    }

    fn add(&mut self, bytes: Option<&[u8]>) {
        for option in DhcpOptionIterator::new(bytes.unwrap_or_default()) {
            self.0.entry(option.code().into()).or_default().extend(option.data());
        }
    }

    pub(super) fn bytes(&self, code: OptionCode) -> Option<&[u8]> {
        self.0.get(&code.into()).map(Vec::as_slice)
    }

    pub(super) fn message_type(&self) -> Option<MessageType> {
        match self.bytes(OptionCode::MessageType)? {
            [kind] => Some(MessageType::from(*kind)),
            _ => None,
        }
    }

    /// Seconds. A server that repeats the option has contradicted itself; its first word counts.
    pub(super) fn seconds(&self, code: OptionCode) -> Option<u32> {
        Decoder::new(self.bytes(code)?).read_u32().ok()
    }

    /// A list of addresses, of which what is left of one at the end is none.
    pub(super) fn addresses(&self, code: OptionCode) -> Vec<Ipv4Addr> {
        let whole = self.bytes(code).unwrap_or_default().as_chunks::<4>().0;
        whole.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
    }

    /// Text for a human reader, on one line.
    pub(super) fn text(&self, code: OptionCode) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes(code)?);
        Some(text.chars().filter(|character| !character.is_control()).collect())
    }

    /// Some servers end it as a C string.
    pub(super) fn domain(&self, code: OptionCode) -> Option<String> {
        names::domain(std::str::from_utf8(self.bytes(code)?).ok()?.trim_end_matches('\0'))
    }

    pub(super) fn domains(&self, code: OptionCode) -> Vec<String> {
        names::list(self.bytes(code).unwrap_or_default())
    }
}
