use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aftermath::Child;
use netlink_message::DUMP_ATTEMPTS;
use netlink_packet_core::Emitable;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;

use crate::error::{Error, Request, Result};
use crate::link_ref::{IFINFOMSG_LEN, IFLA_IFNAME, LinkRef, RTM_GETLINK};
use crate::message::{Message, Verdict, attributes, next_message};
use crate::netns::Netns;
use crate::outgoing::{NLM_F_ACK, NLM_F_DUMP, Outgoing};

/// The kernel fills at most this much per answer (`netlink_dump`, net/netlink/af_netlink.c).
const RECEIVE_BUFFER: usize = 32 * 1024;

/// A blocking rtnetlink socket, bound for life to the network namespace it was opened in.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    next_sequence: u32,
    buffer: Vec<u8>,
}

/// What the last of the sent requests is answered with when all is well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// An acknowledgement, or the end of a dump.
    Verdict,
    /// One object, without an acknowledgement after it.
    Object,
}

impl Socket {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// When the kernel has no descriptor or no memory left.
    pub fn open() -> Result<Self> {
        let inner = netlink_sys::Socket::new(NETLINK_ROUTE).map_err(Error::socket("open"))?;
        inner.set_ext_ack(true).map_err(Error::socket("configure"))?;
        // Filters are applied by the kernel. Before Linux 4.20 there is no such option and answers come
        // unfiltered, which is why each list is filtered once more where it is read.
        let _ = inner.set_netlink_get_strict_chk(true);
        Ok(Socket { inner, next_sequence: 1, buffer: Vec::new() })
    }

    /// Opens a socket in `netns`.
    ///
    /// # Errors
    /// When the namespace cannot be entered (CAP_SYS_ADMIN), and as for [`Socket::open`].
    pub fn open_in(netns: &Netns) -> Result<Self> {
        netns.run(Self::open)?
    }

    /// Sends requests whose last asks for an acknowledgement; `on_object` sees what is echoed meanwhile.
    pub(crate) fn transact(
        &mut self,
        outgoing: &mut Outgoing,
        on_object: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<()> {
        outgoing.add_flags_to_last(NLM_F_ACK);
        self.exchange(outgoing, Ending::Verdict, on_object).map(|_interrupted| ())
    }

    /// Asks for one object.
    pub(crate) fn get<T>(
        &mut self,
        request: Request,
        kind: u16,
        body: &dyn Emitable,
        read: impl Fn(&Message<'_>) -> Result<T>,
    ) -> Result<T> {
        self.get_after(Outgoing::default(), request, kind, body, read)
    }

    /// Sends requests, and with them asks for one object.
    pub(crate) fn get_after<T>(
        &mut self,
        mut outgoing: Outgoing,
        request: Request,
        kind: u16,
        body: &dyn Emitable,
        read: impl Fn(&Message<'_>) -> Result<T>,
    ) -> Result<T> {
        outgoing.push(request, kind, 0, body);
        let mut found = None;
        self.exchange(&mut outgoing, Ending::Object, &mut |message| {
            found = Some(read(message)?);
            Ok(())
        })?;
        found.ok_or(Error::Malformed { what: "the object asked for" })
    }

    /// Lists objects; `read` may skip some. A list that changed while it was read is read again.
    pub(crate) fn dump<T>(
        &mut self,
        request: &Request,
        kind: u16,
        body: &dyn Emitable,
        read: impl Fn(&Message<'_>) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut outgoing = Outgoing::default();
            outgoing.push(request.clone(), kind, NLM_F_DUMP, body);
            let mut found = Vec::new();
            let interrupted = self.exchange(&mut outgoing, Ending::Verdict, &mut |message| {
                found.extend(read(message)?);
                Ok(())
            })?;
            if !interrupted {
                return Ok(found);
            }
        }
        Err(Error::DumpInterrupted { request: Box::new(request.clone()) })
    }

    /// Sends and reads until the last request is answered. The first refusal wins, but all answers are
    /// read, so that none is left for the next exchange. Tells whether a dump was interrupted.
    fn exchange(
        &mut self,
        outgoing: &mut Outgoing,
        ending: Ending,
        on_object: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<bool> {
        let first = self.next_sequence;
        self.send(outgoing)?;
        let mut progress =
            Progress { first, count: outgoing.requests.len(), ending, failure: None, interrupted: false };
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = loop {
            match self.receive(&mut buffer, 0).and_then(|()| progress.read(&buffer, &mut outgoing.requests, on_object))
            {
                Ok(false) => {}
                Ok(true) => break progress.failure.map_or(Ok(progress.interrupted), Err),
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        outcome.map_err(|error| self.name_links(error))
    }

    /// Calls the links of a refusal by their names, for people to read. What is not there has none, and is mostly as it
    /// should be.
    pub(crate) fn name_links(&mut self, error: Error) -> Error {
        if error.is_not_found() { error } else { error.with_names(&mut |index| self.name_of(index)) }
    }

    /// The name of a link, as long as it is there.
    fn name_of(&mut self, index: u32) -> Option<String> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.get(Request::GetLink(index.into()), RTM_GETLINK, &message, read_name).ok()
    }

    /// A link as it is best called in an error.
    pub(crate) fn best_ref(&mut self, index: u32) -> LinkRef {
        self.name_of(index).map_or(LinkRef::Index(index), LinkRef::Name)
    }

    pub(crate) fn send(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        self.next_sequence = outgoing.number_from(self.next_sequence);
        let sent = self.inner.send(&outgoing.bytes, 0).map_err(Error::socket("send on"))?;
        debug_assert_eq!(sent, outgoing.bytes.len(), "netlink takes a message whole or not at all");
        Ok(())
    }

    /// Has a child process send requests, of which the last is acknowledged, and wait until the kernel has done all that
    /// they entail. The first one's number, and the child; the answers come to this socket.
    pub(crate) fn send_by_a_child(&mut self, outgoing: &mut Outgoing) -> io::Result<(u32, Child)> {
        let first = self.next_sequence;
        outgoing.add_flags_to_last(NLM_F_ACK);
        self.next_sequence = outgoing.number_from(first);
        Ok((first, aftermath::send(self.as_fd(), &outgoing.bytes)?))
    }

    /// Reads one datagram into `buffer`.
    pub(crate) fn receive(&self, buffer: &mut Vec<u8>, flags: libc::c_int) -> Result<()> {
        buffer.clear();
        buffer.reserve(RECEIVE_BUFFER);
        loop {
            match self.inner.recv(buffer, flags | libc::MSG_TRUNC) {
                Ok(length) if length > buffer.len() => return Err(Error::Malformed { what: "a whole datagram" }),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Socket { action: "receive from", source }),
            }
        }
    }

    /// Takes a port, which a socket that has sent something has. Without one it is told only of what others change, and of
    /// nothing that the kernel does by itself (`do_one_broadcast`, net/netlink/af_netlink.c).
    pub(crate) fn take_port(&mut self) -> Result<()> {
        self.inner.bind_auto().map(drop).map_err(Error::socket("bind"))
    }

    pub(crate) fn subscribe(&self, group: u32) -> Result<()> {
        self.inner.add_membership(group).map_err(Error::socket("subscribe"))
    }

    pub(crate) fn unsubscribe(&self, group: u32) -> Result<()> {
        self.inner.drop_membership(group).map_err(Error::socket("unsubscribe"))
    }
}

fn read_name(message: &Message<'_>) -> Result<String> {
    let name = attributes(message, IFINFOMSG_LEN, "a link")?
        .find_map(|attribute| attribute.ok().filter(|attribute| attribute.kind == IFLA_IFNAME));
    name.map(|name| name.text()).ok_or(Error::Malformed { what: "a link" })
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// How far the answers to one send have come.
struct Progress {
    first: u32,
    count: usize,
    ending: Ending,
    failure: Option<Error>,
    interrupted: bool,
}

impl Progress {
    /// Reads the messages of one datagram; true when the last request has been answered.
    fn read(
        &mut self,
        mut datagram: &[u8],
        requests: &mut [Option<Request>],
        on_object: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<bool> {
        while let Some(message) = next_message(&mut datagram)? {
            let position = message.sequence.wrapping_sub(self.first) as usize;
            // An answer to an earlier exchange that broke off.
            if position >= self.count {
                continue;
            }
            self.interrupted |= message.is_interrupted_dump();
            if self.take(&message, requests.get_mut(position), on_object)? && position + 1 == self.count {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes one message in; true when it ends the answer to its request.
    fn take(
        &mut self,
        message: &Message<'_>,
        request: Option<&mut Option<Request>>,
        on_object: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<bool> {
        match message.verdict() {
            Verdict::Done => Ok(true),
            Verdict::Refused(refusal) => {
                let request = request.and_then(Option::take);
                self.failure = self.failure.take().or(request.map(|request| Error::refused(request, refusal)));
                Ok(true)
            }
            Verdict::Object => {
                if let Err(error) = on_object(message) {
                    self.failure.get_or_insert(error);
                }
                Ok(self.ending == Ending::Object)
            }
            Verdict::Nothing => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HEADER_LEN;

    const LINK: u16 = 16;
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const INTERRUPTED: u16 = 0x10;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_LEN + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn progress(first: u32, count: usize, ending: Ending) -> Progress {
        Progress { first, count, ending, failure: None, interrupted: false }
    }

    fn read(progress: &mut Progress, datagram: &[u8]) -> (bool, usize) {
        let mut requests: Vec<_> = (0..progress.count).map(|_| Some(Request::ListLinks)).collect();
        let mut objects = 0;
        let ended = progress.read(datagram, &mut requests, &mut |_object| {
            objects += 1;
            Ok(())
        });
        (ended.expect("readable"), objects)
    }

    #[test]
    fn answers_to_earlier_exchanges_are_passed_over() {
        let mut progress = progress(5, 1, Ending::Verdict);
        let stale = [message(LINK, 0, 4, &[0; 16]), message(ERROR, 0, 4, &(-1i32).to_ne_bytes())].concat();
        assert_eq!(read(&mut progress, &stale), (false, 0));
        assert!(progress.failure.is_none());
        assert_eq!(read(&mut progress, &message(ERROR, 0, 5, &[0; 20])), (true, 0));
    }

    #[test]
    fn only_the_last_requests_verdict_ends_a_batch() {
        let mut progress = progress(u32::MAX, 3, Ending::Verdict);
        let refused = |sequence, errno: i32| message(ERROR, 0, sequence, &(-errno).to_ne_bytes());
        assert_eq!(read(&mut progress, &refused(u32::MAX, 17)), (false, 0));
        assert_eq!(read(&mut progress, &[refused(0, 1), message(LINK, 0, 1, &[0; 16])].concat()), (false, 1));
        assert_eq!(read(&mut progress, &message(ERROR, 0, 1, &[0; 4])), (true, 0));
        assert_eq!(progress.failure.expect("refused").errno(), Some(17), "the first refusal");
    }

    #[test]
    fn an_interrupted_dump_is_noticed_wherever_the_kernel_says_so() {
        for flags in [[INTERRUPTED, 0], [0, INTERRUPTED]] {
            let mut progress = progress(1, 1, Ending::Verdict);
            let dump = [message(LINK, flags[0], 1, &[0; 16]), message(DONE, flags[1], 1, &[0; 4])].concat();
            assert_eq!(read(&mut progress, &dump), (true, 1));
            assert!(progress.interrupted);
        }
    }

    #[test]
    fn one_object_ends_a_get() {
        assert_eq!(read(&mut progress(1, 1, Ending::Object), &message(LINK, 0, 1, &[0; 16])), (true, 1));
        assert_eq!(read(&mut progress(1, 1, Ending::Verdict), &message(LINK, 0, 1, &[0; 16])), (false, 1));
    }
}
