use nix::libc::EBADMSG;

use crate::{Attributes, read_i32, read_u16, read_u32};

/// Length of `struct nlmsghdr`.
pub const HEADER_LEN: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Types below belong to netlink itself (`NLMSG_MIN_TYPE`).
const FIRST_OF_OBJECTS: u16 = 16;

const NLM_F_DUMP_INTR: u16 = 0x10;
/// The verdict does not repeat the request's payload.
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes with the kernel's words follow the verdict.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// One message of the kernel's, borrowed from the receive buffer.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The message type (`nlmsg_type`), which is another number in each netlink family.
    pub kind: u16,
    /// The header's flags (`NLM_F_*`).
    pub flags: u16,
    /// The number of the request that it answers; 0 in a notification.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What a message means for the request that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A link, an address, a chain: there may be more.
    Object,
    /// The end: carried out, or all is listed.
    Done,
    /// The end: the kernel has refused the request.
    Refused(Refusal<'a>),
    /// A message of netlink itself without meaning here, such as `NLMSG_NOOP`.
    Nothing,
}

/// Why the kernel refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The errno as a positive number.
    pub errno: i32,
    /// Its own words, if it had any.
    pub words: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// Splits the first message off `bytes`; nothing if there is none or it does not fit.
    #[must_use]
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = usize::try_from(read_u32(bytes, 0)?).ok()?;
        let message = Self {
            kind: read_u16(bytes, 4)?,
            flags: read_u16(bytes, 6)?,
            sequence: read_u32(bytes, 8)?,
            body: bytes.get(HEADER_LEN..length)?,
        };
        Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
    }

    /// The dump saw a change while it ran, so objects may be missing, doubled, or of two states.
    #[must_use]
    pub fn is_interrupted_dump(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// What it says of its request.
    #[must_use]
    pub fn verdict(&self) -> Verdict<'a> {
        match (self.kind, read_i32(self.body, 0)) {
            // The end of a dump carries an errno since Linux 4.15, and nothing before.
            (NLMSG_ERROR | NLMSG_DONE, Some(0)) | (NLMSG_DONE, None) => Verdict::Done,
            (NLMSG_ERROR | NLMSG_DONE, Some(code)) => {
                Verdict::Refused(Refusal { errno: code.saturating_neg(), words: self.words() })
            }
            // Cut off: whatever it says, it does not say that all is well.
            (NLMSG_ERROR, None) => Verdict::Refused(Refusal { errno: EBADMSG, words: None }),
            (FIRST_OF_OBJECTS.., _) => Verdict::Object,
            _ => Verdict::Nothing,
        }
    }

    /// What follows the errno: in an acknowledgement first the request, of which a capped one has the header alone.
    fn words(&self) -> Option<&'a str> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let repeated = match self.kind {
            NLMSG_DONE => 0,
            _ if self.flags & NLM_F_CAPPED != 0 => HEADER_LEN,
            _ => usize::try_from(read_u32(self.body, 4)?).ok()?.checked_next_multiple_of(4)?,
        };
        let attributes = self.body.get(4_usize.checked_add(repeated)?..)?;
        Attributes::new(attributes).find(NLMSGERR_ATTR_MSG)?.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_LEN + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(9_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn with_words(mut body: Vec<u8>, words: &[u8]) -> Vec<u8> {
        body.extend(u16::try_from(4 + words.len()).expect("short").to_ne_bytes());
        body.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        body.extend(words);
        body
    }

    fn refusal(flags: u16, repeated_payload: &[u8]) -> Vec<u8> {
        let mut body = (-17_i32).to_ne_bytes().to_vec();
        body.extend(message(16, 0, repeated_payload));
        message(NLMSG_ERROR, flags, &with_words(body, b"no such thing\0"))
    }

    fn verdict(bytes: &[u8]) -> Verdict<'_> {
        Message::split(bytes).expect("a whole message").0.verdict()
    }

    #[test]
    fn a_refusal_carries_errno_and_the_kernels_words() {
        let refused = |words| Verdict::Refused(Refusal { errno: 17, words });
        assert_eq!(verdict(&refusal(NLM_F_ACK_TLVS, &[1; 12])), refused(Some("no such thing")));
        assert_eq!(verdict(&refusal(NLM_F_ACK_TLVS | NLM_F_CAPPED, &[])), refused(Some("no such thing")));
        assert_eq!(verdict(&refusal(0, &[1; 12])), refused(None));
        let ended = with_words((-17_i32).to_ne_bytes().to_vec(), b"no such thing\0");
        assert_eq!(verdict(&message(NLMSG_DONE, NLM_F_ACK_TLVS, &ended)), refused(Some("no such thing")));
    }

    #[test]
    fn what_is_no_refusal_is_told_apart() {
        assert_eq!(verdict(&message(NLMSG_ERROR, 0, &[0; 4])), Verdict::Done);
        assert_eq!(verdict(&message(NLMSG_DONE, 0, &[])), Verdict::Done);
        assert_eq!(verdict(&message(FIRST_OF_OBJECTS, 0, &[])), Verdict::Object);
        assert_eq!(verdict(&message(1, 0, &[])), Verdict::Nothing);
    }

    #[test]
    fn messages_are_split_one_by_one() {
        let both = [message(20, 0, &[1; 5]), vec![0; 3], message(21, 0, &[])].concat();
        let (first, rest) = Message::split(&both).expect("the first");
        assert_eq!((first.kind, first.sequence, first.body), (20, 9, &[1; 5][..]));
        let (second, rest) = Message::split(rest).expect("the second");
        assert_eq!(second.kind, 21);
        assert!(Message::split(rest).is_none());
    }

    #[test]
    fn every_truncation_of_a_refusal_is_survived() {
        let whole = refusal(NLM_F_ACK_TLVS, &[1; 12]);
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            assert!(Message::split(&cut).is_none());
            if end >= HEADER_LEN {
                cut[..4].copy_from_slice(&u32::try_from(end).expect("short").to_ne_bytes());
                let Verdict::Refused(refusal) = verdict(&cut) else { panic!("{end}") };
                assert!([17, EBADMSG].contains(&refusal.errno), "{end}");
            }
        }
    }
}
