//! Requests on their way to the kernel.

use netlink_packet_core::Emitable;

use crate::error::Request;
use crate::message::HEADER_LEN;

const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_ECHO: u16 = 0x8;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

/// Encoded requests, ready to be sent together.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// Where each message starts.
    starts: Vec<usize>,
    /// Taken by the error that names it.
    pub(crate) requests: Vec<Option<Request>>,
}

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub(crate) fn push(&mut self, request: Request, kind: u16, flags: u16, body: &dyn Emitable) {
        let start = self.bytes.len();
        let length = HEADER_LEN + body.buffer_len();
        self.bytes.resize(start + length.next_multiple_of(4), 0);
        let message = &mut self.bytes[start..];
        // A batch holds a handful of requests of a few hundred bytes each.
        message[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        body.emit(&mut message[HEADER_LEN..length]);
        self.starts.push(start);
        self.requests.push(Some(request));
    }

    pub(crate) fn add_flags_to_last(&mut self, flags: u16) {
        if let Some(&start) = self.starts.last() {
            let [low, high] = flags.to_ne_bytes();
            self.bytes[start + 6] |= low;
            self.bytes[start + 7] |= high;
        }
    }

    /// Numbers the messages from `sequence` on and returns the next free number.
    pub(crate) fn number_from(&mut self, mut sequence: u32) -> u32 {
        for &start in &self.starts {
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
        sequence
    }
}
