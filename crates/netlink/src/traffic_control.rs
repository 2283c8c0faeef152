//! Traffic control: how fast a link sends, and where what it receives goes (include/uapi/linux/pkt_sched.h, pkt_cls.h).

use netlink_packet_core::DefaultNla;
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionGeneric, TcActionMirrorOption, TcActionOption, TcActionType, TcAttribute,
    TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType, TcOption, TcU32Key, TcU32Selector,
    TcU32SelectorFlags,
};

use nix::libc;

use crate::error::{Error, Request, Result, if_found};
use crate::ingress::INGRESS;
use crate::loopback_guard;
use crate::message::{Attribute, Message, attributes, read_u32};
use crate::outgoing::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, Outgoing};
use crate::socket::Socket;

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
pub(crate) const RTM_NEWTFILTER: u16 = 44;
pub(crate) const RTM_DELTFILTER: u16 = 45;
pub(crate) const RTM_GETTFILTER: u16 = 46;
/// Length of `struct tcmsg`.
pub(crate) const HEADER_LEN: usize = 20;
const WHAT: &str = "a queueing discipline";

pub(crate) const TCA_KIND: u16 = 1;
pub(crate) const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
/// Actions are numbered from 1; this is the only one.
const FIRST_ACTION: u16 = 1;

/// Length of `struct tc_tbf_qopt`, and where `rate.rate` and `limit` are in it.
const TBF_PARMS_LEN: usize = 36;
const RATE_AT: usize = 8;
const LINKLAYER_AT: usize = 1;
const LIMIT_AT: usize = 24;
const TC_LINKLAYER_ETHERNET: u8 = 1;

/// Its index in every namespace (`LOOPBACK_IFINDEX`, include/net/flow.h).
const LOOPBACK: u32 = 1;
/// ffff:, the handle that an ingress discipline has.
const INGRESS_HANDLE: TcHandle = TcHandle { major: u16::MAX, minor: 0 };
const ROOT_HANDLE: TcHandle = TcHandle { major: 1, minor: 0 };
/// After the guard of loopback addresses: those of one priority have one kind and one protocol, and no filter sees what this one has taken.
const PRIORITY: u32 = loopback_guard::PRIORITY + 1;
/// `ETH_P_ALL` in network byte order, with the filter's priority above it.
const EVERY_PROTOCOL: u32 = (PRIORITY << 16) | (0x0003_u16.to_be() as u32);

/// How fast a link sends: a bucket of tokens, a byte each, that fills at a rate (net/sched/sch_tbf.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    /// Bytes per second.
    pub rate: u64,
    /// How much the bucket holds, in bytes, and so the most that is sent at once; a packet that is larger never is. The
    /// kernel does not tell it exactly, so it is 0 where a bucket was read.
    pub burst: u32,
    /// How much may wait to be sent, in bytes; what comes on top is dropped.
    pub limit: u32,
}

impl Socket {
    /// How fast the link with index `link` sends; `None` if nothing limits it.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn token_bucket(&mut self, link: u32) -> Result<Option<TokenBucket>> {
        let mut found = None;
        self.get_qdisc(link, TcHandle::ROOT, |answer| {
            found = read_bucket(answer)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether the link has a discipline at that place, which `read` is given.
    pub(crate) fn get_qdisc(
        &mut self,
        link: u32,
        place: TcHandle,
        mut read: impl FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<bool> {
        let message = message(link, place, None);
        let mut outgoing = Outgoing::default();
        // Without the flag, older kernels do not answer.
        outgoing.push(Request::GetQdisc { link: link.into() }, RTM_GETQDISC, NLM_F_ECHO, &message);
        // Where one was and is gone, the request succeeds without an answer.
        let mut is_there = false;
        let outcome = self.transact(&mut outgoing, &mut |answer| {
            is_there = true;
            read(answer)
        });
        if_found(outcome)?;
        Ok(is_there)
    }

    /// Whether this kernel knows token buckets; it loads the module, if there is one.
    ///
    /// It is asked for one without parameters on the loopback, which there can be none of. A kernel that knows them misses
    /// the parameters (`EINVAL`), unless the loopback has a discipline already (`EEXIST`), which says nothing.
    ///
    /// # Errors
    /// Any other refusal.
    pub fn knows_token_buckets(&mut self) -> Result<bool> {
        let mut message = message(LOOPBACK, TcHandle::ROOT, Some("tbf"));
        message.header.handle = ROOT_HANDLE;
        let mut outgoing = Outgoing::default();
        outgoing.push(Request::LimitRate { link: LOOPBACK.into() }, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &message);
        match self.transact(&mut outgoing, &mut |_echo| Ok(())) {
            Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EEXIST)) => Ok(true),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}

pub(crate) fn push_token_bucket(outgoing: &mut Outgoing, link: u32, bucket: &TokenBucket) {
    let mut message = message(link, TcHandle::ROOT, Some("tbf"));
    message.header.handle = ROOT_HANDLE;
    let mut options = vec![
        DefaultNla::new(TCA_TBF_PARMS, parameters(bucket)),
        DefaultNla::new(TCA_TBF_BURST, bucket.burst.to_ne_bytes().to_vec()),
    ];
    if u32::try_from(bucket.rate).is_err() {
        options.push(DefaultNla::new(TCA_TBF_RATE64, bucket.rate.to_ne_bytes().to_vec()));
    }
    message.attributes.push(TcAttribute::Options(options.into_iter().map(TcOption::Other).collect()));
    outgoing.push(Request::LimitRate { link: link.into() }, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &message);
}

pub(crate) fn push_remove_limit(outgoing: &mut Outgoing, link: u32) {
    let message = message(link, TcHandle::ROOT, None);
    outgoing.push(Request::DeleteQdisc { link: link.into() }, RTM_DELQDISC, 0, &message);
}

/// Of the kind `ingress`, or of the newer `clsact`, which takes the same filters.
pub(crate) fn push_add_ingress(outgoing: &mut Outgoing, link: u32, kind: &str) {
    let mut ingress = message(link, TcHandle::INGRESS, Some(kind));
    ingress.header.handle = INGRESS_HANDLE;
    outgoing.push(Request::AddIngress { link: link.into() }, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &ingress);
}

pub(crate) fn push_redirect_ingress(outgoing: &mut Outgoing, link: u32, to: u32) {
    let mut filter = redirection_of(link);
    let options = [TcFilterU32Option::Selector(everything()), TcFilterU32Option::Action(vec![redirection(to)])];
    filter.attributes.push(TcAttribute::Options(options.into_iter().map(TcOption::U32).collect()));
    outgoing.push(
        Request::Redirect { link: link.into(), to: to.into() },
        RTM_NEWTFILTER,
        NLM_F_CREATE | NLM_F_EXCL,
        &filter,
    );
}

pub(crate) fn push_remove_redirection(outgoing: &mut Outgoing, link: u32) {
    outgoing.push(Request::DeleteFilter { link: link.into() }, RTM_DELTFILTER, 0, &redirection_of(link));
}

fn redirection_of(link: u32) -> TcMessage {
    let mut filter = message(link, INGRESS, Some("u32"));
    filter.header.info = EVERY_PROTOCOL;
    filter
}

pub(crate) fn push_remove_ingress(outgoing: &mut Outgoing, link: u32) {
    let message = message(link, TcHandle::INGRESS, None);
    outgoing.push(Request::DeleteQdisc { link: link.into() }, RTM_DELQDISC, 0, &message);
}

pub(crate) fn message(link: u32, parent: TcHandle, kind: Option<&str>) -> TcMessage {
    let mut message = TcMessage::default();
    message.header.index = link.cast_signed();
    message.header.parent = parent;
    message.attributes.extend(kind.map(|kind| TcAttribute::Kind(kind.to_owned())));
    message
}

/// `struct tc_tbf_qopt`. The kernel computes from the burst in bytes, so `buffer`, the same in clock ticks, is left at 0.
fn parameters(bucket: &TokenBucket) -> Vec<u8> {
    let mut parameters = vec![0; TBF_PARMS_LEN];
    let rate = u32::try_from(bucket.rate).unwrap_or(u32::MAX);
    parameters[LINKLAYER_AT] = TC_LINKLAYER_ETHERNET;
    parameters[RATE_AT..RATE_AT + 4].copy_from_slice(&rate.to_ne_bytes());
    parameters[LIMIT_AT..LIMIT_AT + 4].copy_from_slice(&bucket.limit.to_ne_bytes());
    parameters
}

/// One key that compares nothing.
fn everything() -> TcU32Selector {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.nkeys = 1;
    selector.keys = vec![TcU32Key::default()];
    selector
}

fn redirection(to: u32) -> TcAction {
    let mut generic = TcActionGeneric::default();
    generic.action = TcActionType::Stolen;
    let mut mirror = TcMirror::default();
    mirror.generic = generic;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = to;
    let options = vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))];
    let mut action = TcAction::default();
    action.tab = FIRST_ACTION;
    action.attributes = vec![TcActionAttribute::Kind("mirred".to_owned()), TcActionAttribute::Options(options)];
    action
}

fn read_bucket(message: &Message<'_>) -> Result<Option<TokenBucket>> {
    let (mut is_bucket, mut options) = (false, None);
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            TCA_KIND => is_bucket = attribute.text() == "tbf",
            TCA_OPTIONS => options = Some(attribute),
            _ => {}
        }
    }
    options.filter(|_| is_bucket).map(|options| read_parameters(&options)).transpose()
}

fn read_parameters(options: &Attribute<'_>) -> Result<TokenBucket> {
    const MALFORMED: Error = Error::Malformed { what: WHAT };
    let parameters = options.nested_of(TCA_TBF_PARMS)?.ok_or(MALFORMED)?.value;
    let field = |at| read_u32(parameters, at).ok_or(MALFORMED);
    let rate = match options.nested_of(TCA_TBF_RATE64)?.and_then(|rate| rate.array()) {
        Some(rate) => u64::from_ne_bytes(rate),
        None => field(RATE_AT)?.into(),
    };
    Ok(TokenBucket { rate, burst: 0, limit: field(LIMIT_AT)? })
}
