//! The D-Bus wire format, as far as method calls with strings, their answers and signals need it
//! (D-Bus specification, "Message Protocol").

/// The longest answer we are willing to hold, in bytes.
const LONGEST: usize = 1 << 20;
/// Bytes of a header before its fields: marks, body length, serial, length of the fields.
pub(crate) const FIXED: usize = 16;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method call (D-Bus specification, "Message Protocol").
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) method: &'static str,
    pub(crate) arguments: &'a [&'a str],
}

impl Call<'_> {
    /// The whole message. Nothing if a string is too long for its length field or holds a NUL.
    pub(crate) fn encode(&self, serial: u32) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        for argument in self.arguments {
            put_string(&mut body, argument)?;
        }
        let mut fields = Vec::new();
        put_field(&mut fields, PATH, b'o', self.path)?;
        put_field(&mut fields, INTERFACE, b's', self.interface)?;
        put_field(&mut fields, MEMBER, b's', self.method)?;
        put_field(&mut fields, DESTINATION, b's', self.destination)?;
        if !self.arguments.is_empty() {
            align(&mut fields, 8);
            fields.extend_from_slice(&[SIGNATURE, 1, b'g', 0, u8::try_from(self.arguments.len()).ok()?]);
            fields.extend(self.arguments.iter().map(|_| b's'));
            fields.push(0);
        }
        let mut message = vec![b'l', METHOD_CALL, 0, 1];
        for number in [u32::try_from(body.len()).ok()?, serial, u32::try_from(fields.len()).ok()?] {
            message.extend_from_slice(&number.to_le_bytes());
        }
        message.extend_from_slice(&fields);
        align(&mut message, 8);
        message.extend_from_slice(&body);
        Some(message)
    }
}

fn put_field(fields: &mut Vec<u8>, code: u8, kind: u8, value: &str) -> Option<()> {
    align(fields, 8);
    fields.extend_from_slice(&[code, 1, kind, 0]);
    put_string(fields, value)
}

fn put_string(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    align(bytes, 4);
    bytes.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    (!text.contains('\0')).then_some(())
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// How many bytes follow the fixed part of a message; nothing if that makes no sense.
pub(crate) fn remaining(fixed: &[u8; FIXED]) -> Option<usize> {
    let reader = Reader::new(fixed, fixed[0])?;
    let body = usize::try_from(reader.number(4)?).ok()?;
    let fields = usize::try_from(reader.number(12)?).ok()?;
    fields.checked_next_multiple_of(8)?.checked_add(body).filter(|length| *length <= LONGEST)
}

/// An answer, or another message that came in between.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    kind: u8,
    reply_serial: u32,
    error_name: String,
    member: String,
    destination: String,
    signature: String,
    body: Vec<u8>,
    endian: u8,
}

impl Answer {
    /// Reads a message. Nothing if it makes no sense.
    pub(crate) fn decode(fixed: &[u8; FIXED], rest: &[u8]) -> Option<Self> {
        let message = [fixed.as_slice(), rest].concat();
        let reader = Reader::new(&message, fixed[0])?;
        let end = usize::try_from(reader.number(12)?).ok()?.checked_add(FIXED)?;
        let body = rest.get(end.checked_next_multiple_of(8)? - FIXED..)?.to_vec();
        let mut answer = Self { kind: fixed[1], endian: fixed[0], body, ..Self::default() };
        let mut at = FIXED;
        while at < end {
            at = answer.read_field(&reader, at.next_multiple_of(8))?;
        }
        Some(answer)
    }

    /// Takes one header field in; returns where it ends.
    fn read_field(&mut self, reader: &Reader<'_>, at: usize) -> Option<usize> {
        let code = *reader.bytes.get(at)?;
        let (kind, value) = reader.signature(at + 1)?;
        match kind {
            "u" => {
                let number = reader.number(value.next_multiple_of(4))?;
                if code == REPLY_SERIAL {
                    self.reply_serial = number;
                }
                Some(value.next_multiple_of(4) + 4)
            }
            "s" | "o" => {
                let (text, end) = reader.string(value)?;
                match code {
                    ERROR_NAME => text.clone_into(&mut self.error_name),
                    MEMBER => text.clone_into(&mut self.member),
                    DESTINATION => text.clone_into(&mut self.destination),
                    _ => {}
                }
                Some(end)
            }
            "g" => {
                let (text, end) = reader.signature(value)?;
                if code == SIGNATURE {
                    text.clone_into(&mut self.signature);
                }
                Some(end)
            }
            _ => None,
        }
    }

    /// Whether this answers the call with `serial`.
    pub(crate) fn answers(&self, serial: u32) -> bool {
        matches!(self.kind, METHOD_RETURN | ERROR) && self.reply_serial == serial
    }

    /// The name of a signal to all who want to hear it. One that is sent to us alone can be from anybody: it is none.
    pub(crate) fn signal(&self) -> Option<&str> {
        (self.kind == SIGNAL && self.destination.is_empty()).then_some(&*self.member)
    }

    /// The strings that it carries; none if it carries anything else.
    pub(crate) fn strings(&self) -> Vec<&str> {
        let Some(reader) =
            Reader::new(&self.body, self.endian).filter(|_| self.signature.bytes().all(|kind| kind == b's'))
        else {
            return Vec::new();
        };
        let mut at = 0;
        let next = |_| {
            let (text, end) = reader.string(at)?;
            at = end;
            Some(text)
        };
        self.signature.bytes().map_while(next).collect()
    }

    /// An error's name and its text; `None` for any other message.
    pub(crate) fn error(&self) -> Option<(String, String)> {
        let words = || Some(Reader::new(&self.body, self.endian)?.string(0)?.0.to_owned());
        let words = if self.signature.starts_with('s') { words().unwrap_or_default() } else { String::new() };
        (self.kind == ERROR).then(|| (self.error_name.clone(), words))
    }

    /// The returned truth value, if it is one.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let number = Reader::new(&self.body, self.endian)?.number(0)?;
        (self.signature == "b").then_some(number == 1)
    }
}

/// Bounds-checked reading in the sender's byte order.
struct Reader<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], endian: u8) -> Option<Self> {
        matches!(endian, b'l' | b'B').then_some(Self { bytes, big: endian == b'B' })
    }

    fn number(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A string, and where it ends.
    fn string(&self, at: usize) -> Option<(&'a str, usize)> {
        let start = at.next_multiple_of(4) + 4;
        let end = start.checked_add(usize::try_from(self.number(start - 4)?).ok()?)?;
        Some((std::str::from_utf8(self.bytes.get(start..end)?).ok()?, end + 1))
    }

    /// A signature, and where it ends.
    fn signature(&self, at: usize) -> Option<(&'a str, usize)> {
        let end = at + 1 + usize::from(*self.bytes.get(at)?);
        Some((std::str::from_utf8(self.bytes.get(at + 1..end)?).ok()?, end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'static> =
        Call { destination: "a.b", path: "/p", interface: "i.j", method: "m", arguments: &["zone", "10.0.0.1/32"] };

    /// An answer as a service on a machine of either byte order sends it.
    fn answer(big: bool, kind: u8, name: &str, signature: &str, body: &[u8]) -> Vec<u8> {
        message(big, kind, &[(ERROR_NAME, name)], signature, body)
    }

    fn message(big: bool, kind: u8, texts: &[(u8, &str)], signature: &str, body: &[u8]) -> Vec<u8> {
        let number = |n: usize| {
            let n = u32::try_from(n).expect("short");
            if big { n.to_be_bytes() } else { n.to_le_bytes() }
        };
        let mut fields = vec![REPLY_SERIAL, 1, b'u', 0];
        fields.extend(number(7));
        for (code, text) in texts {
            align(&mut fields, 8);
            fields.extend([*code, 1, b's', 0]);
            fields.extend(number(text.len()));
            fields.extend(text.bytes().chain([0]));
        }
        align(&mut fields, 8);
        fields.extend([SIGNATURE, 1, b'g', 0, u8::try_from(signature.len()).expect("short")]);
        fields.extend(signature.bytes().chain([0]));
        let mut message = vec![if big { b'B' } else { b'l' }, kind, 0, 1];
        [body.len(), 9, fields.len()].iter().for_each(|n| message.extend(number(*n)));
        message.extend(fields);
        align(&mut message, 8);
        message.extend(body);
        message
    }

    fn decode(message: &[u8]) -> Option<Answer> {
        let (fixed, rest) = message.split_first_chunk::<FIXED>()?;
        (remaining(fixed)? == rest.len()).then_some(())?;
        Answer::decode(fixed, rest)
    }

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let message = CALL.encode(5).expect("a message");
        let fields = [
            &b"\x01\x01o\0\x02\0\0\0/p\0"[..],
            b"\x02\x01s\0\x03\0\0\0i.j\0",
            b"\x03\x01s\0\x01\0\0\0m\0",
            b"\x06\x01s\0\x03\0\0\0a.b\0",
            b"\x08\x01g\0\x02ss\0",
        ];
        let mut expected = b"l\x01\0\x01\x1c\0\0\0\x05\0\0\0\x48\0\0\0".to_vec();
        for field in fields {
            align(&mut expected, 8);
            expected.extend(field);
        }
        align(&mut expected, 8);
        expected.extend(b"\x04\0\0\0zone\0\0\0\0\x0b\0\0\x0010.0.0.1/32\0");
        assert_eq!(message, expected);
    }

    #[test]
    fn a_nul_in_an_argument_is_not_sent() {
        assert!(Call { arguments: &["a\0b"], ..CALL }.encode(1).is_none());
    }

    #[test]
    fn answers_of_either_byte_order_are_read() {
        for big in [false, true] {
            let truth = if big { [0, 0, 0, 1] } else { [1, 0, 0, 0] };
            let found = decode(&answer(big, METHOD_RETURN, "", "b", &truth)).expect("an answer");
            assert!(found.answers(7) && !found.answers(8));
            assert_eq!((found.boolean(), found.error()), (Some(true), None));
            let mut words = if big { vec![0, 0, 0, 2] } else { vec![2, 0, 0, 0] };
            words.extend(b"no\0");
            let found = decode(&answer(big, ERROR, "x.y", "s", &words)).expect("an answer");
            assert_eq!(found.error(), Some(("x.y".into(), "no".into())));
            assert_eq!(found.boolean(), None);
        }
    }

    #[test]
    fn signals_are_read_with_their_strings() {
        let body = b"\x01\0\0\0a\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0:1\0";
        let found = decode(&message(false, SIGNAL, &[(MEMBER, "Changed")], "sss", body)).expect("a signal");
        assert_eq!((found.signal(), found.strings()), (Some("Changed"), vec!["a", "", ":1"]));
        let found = decode(&message(false, SIGNAL, &[(MEMBER, "Changed")], "su", body)).expect("a signal");
        assert_eq!(found.strings(), [""; 0], "not all of it is strings");
        let found = decode(&message(false, METHOD_RETURN, &[(MEMBER, "Changed")], "sss", body)).expect("an answer");
        assert_eq!(found.signal(), None);
        let to_us = [(MEMBER, "Changed"), (DESTINATION, ":1.7")];
        let found = decode(&message(false, SIGNAL, &to_us, "sss", body)).expect("a signal");
        assert_eq!(found.signal(), None, "anybody can send that");
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let whole = answer(false, ERROR, "x.y", "s", b"\x02\0\0\0no\0");
        for at in 0..whole.len() {
            assert!(decode(&whole[..at]).is_none(), "{at}");
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Some(found) = decode(&changed) {
                    let _ = (found.error(), found.boolean(), found.answers(7), found.strings());
                }
            }
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut fixed = [0; FIXED];
        fixed[0] = b'l';
        fixed[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(remaining(&fixed), None);
    }
}
