//! Transactions: all messages of a batch take effect together, or none does.

use crate::{Message, family, flags};

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`, `NFNL_BATCH_GENID`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const GENERATION: u16 = 1;

/// A transaction under construction.
#[derive(Debug, Clone)]
pub struct Batch {
    subsystem: u8,
    generation: Option<u32>,
    messages: Vec<Message>,
}

impl Batch {
    /// An empty transaction of one subsystem.
    #[must_use]
    pub fn new(subsystem: u8) -> Self {
        Self { subsystem, generation: None, messages: Vec::new() }
    }

    /// An empty transaction that the kernel refuses with `ERESTART` unless the ruleset is still that of
    /// `generation` (`NFNL_BATCH_GENID`).
    #[must_use]
    pub fn if_unchanged(subsystem: u8, generation: u32) -> Self {
        Self { generation: Some(generation), ..Self::new(subsystem) }
    }

    /// Appends a message. The kernel carries them out in this order, all or none.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// What the messages ask for, in their subsystem's numbers.
    pub fn operations(&self) -> impl Iterator<Item = u8> {
        self.messages.iter().map(Message::operation)
    }

    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The bytes to send: BEGIN numbered `first`, message n numbered `first + 1 + n`, and END unless this is
    /// a rehearsal, which the kernel then checks and throws away. Nothing if an attribute is too long.
    ///
    /// The last message asks for the acknowledgement: kernels before 6.10 do not acknowledge END.
    pub(crate) fn encode(&mut self, first: u32, rehearsal: bool) -> Option<Vec<u8>> {
        let resource = u16::from(self.subsystem);
        let mut begin = Message::with_type(BEGIN, 0, family::UNSPECIFIED, resource);
        if let Some(generation) = self.generation {
            begin.be32(GENERATION, generation);
        }
        if let Some(last) = self.messages.last_mut() {
            last.add_flags(flags::ACK);
        }
        let mut bytes = begin.finish(first)?.to_vec();
        let mut sequence = first;
        for message in &mut self.messages {
            sequence = sequence.wrapping_add(1);
            bytes.extend_from_slice(message.finish(sequence)?);
        }
        if !rehearsal {
            let mut end = Message::with_type(END, 0, family::UNSPECIFIED, resource);
            bytes.extend_from_slice(end.finish(sequence.wrapping_add(1))?);
        }
        Some(bytes)
    }
}
