//! The socket: requests, dumps and batches.

use std::os::fd::AsFd as _;

use netlink_message::{DUMP_ATTEMPTS, Verdict};
use netlink_sys::{SocketAddr, protocols::NETLINK_NETFILTER};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use crate::{Batch, Error, Message, Reply, Result, flags};

/// The largest datagram the kernel builds for a dump (`NLMSG_GOODSIZE` is smaller, a page at least).
pub(crate) const BUFFER: usize = 32 * 1024;
/// How many answers of a page each fit a socket's default buffer, and some more.
const AT_ONCE: usize = 16;
/// Up to this size a batch fits a socket's default buffer.
const SMALL: usize = 32 * 1024;

/// A netfilter netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
    /// A transaction was sent.
    has_changed: bool,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Open`] if the kernel has no netfilter netlink or refuses.
    pub fn open() -> Result<Self> {
        let socket = netlink_sys::Socket::new(NETLINK_NETFILTER).map_err(Error::Open)?;
        // The kernel is the only peer: it takes our messages and, with these, explains refusals and does
        // not send our own message back to us.
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Open)?;
        socket.set_ext_ack(true).map_err(Error::Open)?;
        socket.set_cap_ack(true).map_err(Error::Open)?;
        // Refusals that find no room are lost, and are not missed: the first one says all.
        socket.set_no_enobufs(true).map_err(Error::Open)?;
        Ok(Self { socket, sequence: 1, buffer: Vec::with_capacity(BUFFER), has_changed: false })
    }

    /// Sends a request that is answered by an acknowledgement alone.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's errno, or a failure of the socket.
    pub fn command(&mut self, mut message: Message) -> Result<()> {
        message.add_flags(flags::ACK);
        let sequence = self.send(message)?;
        self.answers(sequence, |_| true)
    }

    /// Sends a request that is answered by one object, and returns what `read` makes of it.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's errno, [`Error::Malformed`] if `read` finds nothing in the
    /// answer, or a failure of the socket.
    pub fn get<T>(&mut self, message: Message, read: impl Fn(&Reply<'_>) -> Option<T>) -> Result<T> {
        let sequence = self.send(message)?;
        self.object(sequence, read)
    }

    /// Sends requests each of which is answered by one object, if that is there, and returns what `read` makes of them.
    ///
    /// # Errors
    /// The first failure as [`Socket::get`] has it, but for [`Error::is_not_found`], which is `None`.
    pub fn find<T>(
        &mut self,
        mut messages: Vec<Message>,
        read: impl Fn(&Reply<'_>) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        let mut all = Vec::with_capacity(messages.len());
        for some in messages.chunks_mut(AT_ONCE) {
            let first = self.send_all(some)?;
            for after in (0..).take(some.len()) {
                all.push(self.object_if_found(first.wrapping_add(after), &read)?);
            }
        }
        Ok(all)
    }

    /// The same for two requests about different things.
    ///
    /// # Errors
    /// As [`Socket::find`].
    pub fn find_both<A, B>(
        &mut self,
        mut messages: [Message; 2],
        read_first: impl Fn(&Reply<'_>) -> Option<A>,
        read_second: impl Fn(&Reply<'_>) -> Option<B>,
    ) -> Result<(Option<A>, Option<B>)> {
        let first = self.send_all(&mut messages)?;
        Ok((self.object_if_found(first, read_first)?, self.object_if_found(first.wrapping_add(1), read_second)?))
    }

    /// Sends requests in one datagram, and returns the number of the first.
    fn send_all(&mut self, messages: &mut [Message]) -> Result<u32> {
        let (mut bytes, first) = (Vec::new(), self.sequence);
        for message in messages {
            bytes.extend_from_slice(message.finish(self.sequence).ok_or(Error::TooLong)?);
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.transmit(&bytes)?;
        Ok(first)
    }

    fn object_if_found<T>(&mut self, sequence: u32, read: impl Fn(&Reply<'_>) -> Option<T>) -> Result<Option<T>> {
        match self.object(sequence, read) {
            Err(error) if error.is_not_found() => Ok(None),
            object => object.map(Some),
        }
    }

    /// What `read` makes of the object that answers `sequence`.
    fn object<T>(&mut self, sequence: u32, read: impl Fn(&Reply<'_>) -> Option<T>) -> Result<T> {
        let mut found = None;
        self.answers(sequence, |reply| {
            found = read(reply);
            false
        })?;
        found.ok_or(Error::Malformed)
    }

    /// Asks for all objects that `message` selects, and returns what `read` makes of them; starts again if
    /// they changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's errno, [`Error::Interrupted`] if they never stop changing, or a
    /// failure of the socket.
    pub fn dump<T>(&mut self, message: &Message, mut read: impl FnMut(&Reply<'_>, &mut Vec<T>)) -> Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut message = message.clone();
            message.add_flags(flags::DUMP);
            let sequence = self.send(message)?;
            let (mut found, mut interrupted) = (Vec::new(), false);
            let ended = self.answers(sequence, |reply| {
                interrupted |= reply.0.is_interrupted_dump();
                if reply.0.verdict() == Verdict::Object {
                    read(reply, &mut found);
                }
                true
            });
            match ended {
                Err(error) if error.errno() == Some(libc::EINTR) => {}
                ended if !interrupted => return ended.map(|()| found),
                ended => ended?,
            }
        }
        Err(Error::Interrupted)
    }

    /// Runs a transaction.
    ///
    /// # Errors
    /// [`Error::Refused`] about the first message that the kernel refused, or about the batch as a whole;
    /// nothing has changed then. Otherwise a failure of the socket.
    pub fn commit(&mut self, batch: Batch) -> Result<()> {
        self.run(batch, false)
    }

    /// Has the kernel check a transaction and throw it away.
    ///
    /// # Errors
    /// Those of [`Socket::commit`].
    pub fn rehearse(&mut self, batch: Batch) -> Result<()> {
        self.run(batch, true)
    }

    fn run(&mut self, mut batch: Batch, rehearsal: bool) -> Result<()> {
        let count = u32::try_from(batch.len()).map_err(|_| Error::TooLong)?;
        if count == 0 {
            return Ok(());
        }
        let first = self.sequence;
        let last = first.wrapping_add(count);
        self.sequence = last.wrapping_add(2);
        let bytes = batch.encode(first, rehearsal).ok_or(Error::TooLong)?;
        self.make_room(bytes.len());
        self.has_changed |= !rehearsal;
        self.transmit(&bytes)?;
        self.outcome(first, last)
    }

    /// Reads up to the last message's answer, or what there is of it: the kernel answers in order, so it is the answers to
    /// later messages that a full queue loses, and only if it refused earlier ones. A refusal numbered like BEGIN concerns
    /// the batch as a whole (a changed generation, a commit that failed); nothing may follow it, so it ends the reading too,
    /// and what does follow is skipped as stale by the next read.
    fn outcome(&mut self, first: u32, last: u32) -> Result<()> {
        let mut refused = None;
        loop {
            match self.receive() {
                Err(error) if error.is_empty_queue() && refused.is_some() => break,
                received => received?,
            }
            if self.take_refusal(first, last, &mut refused) {
                break;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Notes the first refusal among the answers in the buffer. `true` if none follows.
    fn take_refusal(&self, first: u32, last: u32, refused: &mut Option<Error>) -> bool {
        let mut rest = self.buffer.as_slice();
        while let Some((reply, after)) = netlink_message::Message::split(rest) {
            rest = after;
            let sequence = reply.sequence;
            let offset = sequence.wrapping_sub(first);
            if offset > last.wrapping_sub(first) {
                continue;
            }
            if let Verdict::Refused(refusal) = reply.verdict() {
                let message = usize::try_from(offset).ok().and_then(|at| at.checked_sub(1));
                refused.get_or_insert_with(|| Error::refused(message, refusal));
            }
            if sequence == last || (offset == 0 && refused.is_some()) {
                return true;
            }
        }
        false
    }

    /// Hands `each` the messages that answer `sequence` until the request is done, refused, or `each` says
    /// that it has seen enough.
    fn answers(&mut self, sequence: u32, mut each: impl FnMut(&Reply<'_>) -> bool) -> Result<()> {
        loop {
            self.receive()?;
            let mut rest = self.buffer.as_slice();
            while let Some((message, after)) = netlink_message::Message::split(rest) {
                rest = after;
                if message.sequence != sequence {
                    continue;
                }
                let verdict = message.verdict();
                if let Verdict::Refused(refusal) = verdict {
                    return Err(Error::refused(None, refusal));
                }
                if !each(&Reply(message)) || verdict == Verdict::Done {
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self, mut message: Message) -> Result<u32> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.transmit(message.finish(sequence).ok_or(Error::TooLong)?)?;
        Ok(sequence)
    }

    fn transmit(&self, bytes: &[u8]) -> Result<()> {
        let sent = self.socket.send(bytes, 0);
        sent.map(drop).map_err(|source| Error::Send { length: bytes.len(), source })
    }

    /// Reads one datagram. The kernel has answered by the time `send` returns, so an empty queue means that
    /// there will be no answer: an error, where waiting would be for ever.
    fn receive(&mut self) -> Result<()> {
        self.buffer.clear();
        let received = self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC);
        let length = received.map_err(Error::Receive)?;
        match netlink_message::Message::split(&self.buffer) {
            Some(_) if length <= self.buffer.len() => Ok(()),
            _ => Err(Error::Malformed),
        }
    }

    /// Widens the socket's buffer for a large batch, which is one datagram. Best effort: where it is not permitted, the
    /// kernel's own refusal is clear enough.
    fn make_room(&self, bytes: usize) {
        if bytes > SMALL {
            let _ = setsockopt(&self.socket, sockopt::SndBufForce, &(2 * bytes));
        }
    }
}

/// Closing waits while the kernel frees what was removed from nf_tables, by whichever process (`nft_rcv_nl_event`,
/// net/netfilter/nf_tables_api.c): so it is put off.
impl Drop for Socket {
    fn drop(&mut self) {
        // Without another descriptor, closing this one is waiting.
        if let Ok(another) = self.socket.as_fd().try_clone_to_owned() {
            aftermath::keep(another, self.has_changed);
        }
    }
}
