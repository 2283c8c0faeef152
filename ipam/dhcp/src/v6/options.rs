use std::net::Ipv6Addr;

use dhcproto::Decoder;
use dhcproto::v6::{OptionCode, Status};

/// The options of a message, or of an option that holds options: each with its code, in their order.
#[derive(Debug)]
pub(super) struct Options(Vec<(OptionCode, Vec<u8>)>);

impl Options {
    /// Reads until the end, or up to the first option that is cut off.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut decoder = Decoder::new(bytes);
        let mut options = Vec::new();
        while let (Ok(code), Ok(length)) = (decoder.read_u16(), decoder.read_u16()) {
            let Ok(value) = decoder.read_slice(length.into()) else { break };
            options.push((OptionCode::from(code), value.to_vec()));
        }
        Self(options)
    }

    fn all(&self, code: OptionCode) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(found, _)| *found == code).map(|(_, value)| value.as_slice())
    }

    /// The value of the first option with that code.
    pub(super) fn bytes(&self, code: OptionCode) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// A status other than success, with the server's words on one line.
    pub(super) fn failure(&self) -> Option<(Status, String)> {
        let (code, words) = self.bytes(OptionCode::StatusCode)?.split_first_chunk::<2>()?;
        let status = Status::from(u16::from_be_bytes(*code));
        let words = String::from_utf8_lossy(words);
        let words = words.chars().filter(|character| !character.is_control()).collect();
        (status != Status::Success).then_some((status, words))
    }
}

/// An IA_NA (RFC 8415, section 21.4).
#[derive(Debug)]
pub(super) struct Association {
    pub(super) t1: u32,
    pub(super) t2: u32,
    pub(super) options: Options,
}

/// An address in it (section 21.6); both lifetimes in seconds.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) address: Ipv6Addr,
    pub(super) preferred: u32,
    pub(super) valid: u32,
}

impl Association {
    pub(super) fn find(options: &Options, id: u32) -> Option<Self> {
        options.all(OptionCode::IANA).find_map(|bytes| {
            let mut decoder = Decoder::new(bytes);
            let found = decoder.read_u32().ok()?;
            let (t1, t2) = (decoder.read_u32().ok()?, decoder.read_u32().ok()?);
            (found == id).then(|| Self { t1, t2, options: Options::read(decoder.buffer()) })
        })
    }

    /// Those whose lifetimes are in order and that the server does not refuse one by one.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Leased> {
        self.options.all(OptionCode::IAAddr).filter_map(|bytes| {
            let mut decoder = Decoder::new(bytes);
            let address = Ipv6Addr::from(decoder.read::<16>().ok()?);
            let (preferred, valid) = (decoder.read_u32().ok()?, decoder.read_u32().ok()?);
            let refused = Options::read(decoder.buffer()).failure().is_some();
            (preferred <= valid && !refused).then_some(Leased { address, preferred, valid })
        })
    }
}
