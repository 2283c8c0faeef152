//! A filter where packets come into a link, before the packet filter sees them: no loopback address comes in.
//!
//! It is a classifier in classic BPF (net/sched/cls_bpf.c), which needs neither a program that compiles it nor a right beyond
//! `CAP_NET_ADMIN`, and which goes with the link. Nothing that flushes rules of the packet filter touches it.
//! `tc filter show dev LINK ingress` shows it, and its program is what it is known by.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};

use crate::error::{Request, Result, if_found};
use crate::ingress::{INGRESS, IngressFilter, TCA_BPF_OPS};
use crate::outgoing::{NLM_F_CREATE, NLM_F_EXCL, Outgoing};
use crate::socket::Socket;
use crate::traffic_control::{RTM_DELTFILTER, RTM_NEWTFILTER, message, push_add_ingress};

/// Before every other filter; those of the same priority have one kind and one protocol.
pub(crate) const PRIORITY: u32 = 1;
/// `ETH_P_IP` in network byte order, with the priority above it.
const IPV4: u32 = (PRIORITY << 16) | (0x0800_u16.to_be() as u32);

/// So that the kernel refuses a second one.
const FIRST: TcHandle = TcHandle { major: 0, minor: 1 };

const KIND: &str = "bpf";
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_FLAGS: u16 = 8;
/// What the program returns is the verdict (`TCA_BPF_FLAG_ACT_DIRECT`).
const ACT_DIRECT: u32 = 1;

/// Verdicts (include/uapi/linux/pkt_cls.h): the next filter decides; the packet is dropped.
const TC_ACT_UNSPEC: u32 = u32::MAX;
const TC_ACT_SHOT: u32 = 2;

/// Operations of classic BPF (include/uapi/linux/filter.h, bpf_common.h).
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the packet's mark is loaded from (`SKF_AD_OFF + SKF_AD_MARK`).
const MARK: u32 = 0xffff_f000 + 20;
/// Where the addresses' first bytes are in a frame: behind the Ethernet header, in that of IPv4.
const SOURCE: u32 = 14 + 12;
const DESTINATION: u32 = 14 + 16;
/// Where the mark of answers is in the program: the operand of its sixth operation.
const ANSWER_AT: usize = 5 * 8 + 4;
/// The first byte of 127.0.0.0/8.
const LOOPBACK: u32 = 127;

impl Socket {
    /// Lets no packet from or for 127.0.0.0/8 come in through the link with index `link`, unless it has the mark `answer`: where
    /// bridged frames pass the packet filter (br_netfilter), it has translated answers to 127.0.0.1 back before they have left
    /// the bridge.
    ///
    /// # Errors
    /// The kernel's refusal: it may have no such classifier (`CONFIG_NET_CLS_BPF`, `CONFIG_NET_SCH_INGRESS`), or another program's
    /// filter may be in the place of this one.
    pub fn guard_loopback(&mut self, link: u32, answer: u32) -> Result<()> {
        let mut outgoing = Outgoing::default();
        push_add_ingress(&mut outgoing, link, "clsact");
        push_guard(&mut outgoing, link, answer);
        match self.transact(&mut outgoing, &mut |_echo| Ok(())) {
            // One of them; the kernel has gone on to the other.
            Err(error) if error.is_exists() => self.guard_with_others(link, answer),
            Err(error) => {
                if_found(self.batch().remove_ingress(link).send())?;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// The same for a link that had something which filters hang on.
    fn guard_with_others(&mut self, link: u32, answer: u32) -> Result<()> {
        if self.guards_loopback(link, answer)? {
            return Ok(());
        }
        let mut outgoing = Outgoing::default();
        push_guard(&mut outgoing, link, answer);
        self.transact(&mut outgoing, &mut |_echo| Ok(()))
    }

    /// Whether the link has the filter of [`Socket::guard_loopback`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn guards_loopback(&mut self, link: u32, answer: u32) -> Result<bool> {
        Ok(self.ingress_filters(link)?.contains(&IngressFilter::LoopbackGuard { answer }))
    }

    /// Takes the filter of [`Socket::guard_loopback`] away, and what it hung on if nothing else does. Whether it was there is the
    /// result.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn unguard_loopback(&mut self, link: u32, answer: u32) -> Result<bool> {
        if !self.guards_loopback(link, answer)? {
            return Ok(false);
        }
        let mut outgoing = Outgoing::default();
        let filter = filter(link);
        outgoing.push(Request::DeleteFilter { link: link.into() }, RTM_DELTFILTER, 0, &filter);
        if_found(self.transact(&mut outgoing, &mut |_echo| Ok(())))?;
        if self.ingress_filters(link)?.is_empty() {
            if_found(self.batch().remove_ingress(link).send())?;
        }
        Ok(true)
    }
}

fn push_guard(outgoing: &mut Outgoing, link: u32, answer: u32) {
    let program = program(answer);
    let count = u16::try_from(program.len() / 8).unwrap_or(u16::MAX);
    let mut filter = filter(link);
    let options = [
        (TCA_BPF_OPS_LEN, count.to_ne_bytes().to_vec()),
        (TCA_BPF_OPS, program),
        (TCA_BPF_FLAGS, ACT_DIRECT.to_ne_bytes().to_vec()),
    ];
    let options = options.into_iter().map(|(kind, value)| TcOption::Other(DefaultNla::new(kind, value)));
    filter.attributes.push(TcAttribute::Options(options.collect()));
    outgoing.push(Request::GuardLoopback { link: link.into() }, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &filter);
}

fn filter(link: u32) -> TcMessage {
    let mut filter = message(link, INGRESS, Some(KIND));
    filter.header.info = IPV4;
    filter.header.handle = FIRST;
    filter
}

/// The mark of answers in a guard's program; `None` if it is another program.
pub(crate) fn answer_of(program: &[u8]) -> Option<u32> {
    let answer = u32::from_ne_bytes(*program.get(ANSWER_AT..)?.first_chunk()?);
    (self::program(answer) == program).then_some(answer)
}

/// The classifier, as an array of `struct sock_filter`.
fn program(answer: u32) -> Vec<u8> {
    // Jumps count from the next operation.
    let operations: [(u16, u8, u8, u32); 8] = [
        (LOAD_BYTE, 0, 0, SOURCE),
        (JUMP_IF_EQUAL, 4, 0, LOOPBACK),
        (LOAD_BYTE, 0, 0, DESTINATION),
        (JUMP_IF_EQUAL, 0, 3, LOOPBACK),
        (LOAD_WORD, 0, 0, MARK),
        (JUMP_IF_EQUAL, 1, 0, answer),
        (RETURN, 0, 0, TC_ACT_SHOT),
        (RETURN, 0, 0, TC_ACT_UNSPEC),
    ];
    let bytes = |(code, if_true, if_false, operand): (u16, u8, u8, u32)| {
        [&code.to_ne_bytes()[..], &[if_true, if_false], &operand.to_ne_bytes()].concat()
    };
    operations.into_iter().flat_map(bytes).collect()
}
