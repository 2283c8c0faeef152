//! The filters of what comes in through a link. Programs share what they hang on: a link has one at most, of the kind `ingress` or of the
//! newer `clsact`, which takes the same filters.

use netlink_packet_route::tc::TcHandle;

use crate::error::{Request, Result, if_found};
use crate::loopback_guard;
use crate::message::{Attribute, Message, attributes, read_u32};
use crate::socket::Socket;
use crate::traffic_control::{HEADER_LEN, RTM_GETTFILTER, TCA_KIND, TCA_OPTIONS, message};

/// ffff:fff2, where they are, with either kind of discipline (`TC_H_MIN_INGRESS`).
pub(crate) const INGRESS: TcHandle = TcHandle { major: u16::MAX, minor: 0xfff2 };

pub(crate) const TCA_BPF_OPS: u16 = 5;
const TCA_U32_DIVISOR: u16 = 4;
const TCA_U32_ACT: u16 = 7;
/// Actions are numbered from 1.
const FIRST_ACTION: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
/// Where `ifindex` is in `struct tc_mirred`.
const MIRRED_IFINDEX_AT: usize = 24;

/// A filter of what comes in through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngressFilter {
    /// No loopback address comes in, as [`Socket::guard_loopback`] makes it.
    LoopbackGuard {
        /// The mark of packets that come in all the same.
        answer: u32,
    },
    /// Packets are handed to another link.
    Redirection {
        /// The link's index.
        to: u32,
    },
    /// Any other.
    Other,
}

impl Socket {
    /// The filters of what comes in through the link with index `link`, in the order in which they are asked.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn ingress_filters(&mut self, link: u32) -> Result<Vec<IngressFilter>> {
        let message = message(link, INGRESS, None);
        let listed = self.dump(&Request::ListFilters { link: link.into() }, RTM_GETTFILTER, &message, read_filter);
        // Without a discipline there are none.
        Ok(if_found(listed)?.unwrap_or_default())
    }

    /// Whether the link has something that such filters hang on.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn has_ingress(&mut self, link: u32) -> Result<bool> {
        self.get_qdisc(link, TcHandle::INGRESS, |_discipline| Ok(()))
    }
}

fn read_filter(message: &Message<'_>) -> Result<Option<IngressFilter>> {
    let (mut kind, mut options) = (None, None);
    for attribute in attributes(message, HEADER_LEN, "a filter")? {
        let attribute = attribute?;
        match attribute.kind {
            TCA_KIND => kind = Some(attribute),
            TCA_OPTIONS => options = Some(attribute),
            _ => {}
        }
    }
    // Each priority is listed too, with no filter in it.
    let (Some(kind), Some(options)) = (kind, options) else { return Ok(None) };
    let found = match kind.text().as_str() {
        "bpf" => options
            .nested_of(TCA_BPF_OPS)?
            .and_then(|program| loopback_guard::answer_of(program.value))
            .map(|answer| IngressFilter::LoopbackGuard { answer }),
        // A table of them.
        "u32" if options.nested_of(TCA_U32_DIVISOR)?.is_some() => return Ok(None),
        "u32" => redirection(options)?.map(|to| IngressFilter::Redirection { to }),
        _ => None,
    };
    Ok(Some(found.unwrap_or(IngressFilter::Other)))
}

fn redirection(options: Attribute<'_>) -> Result<Option<u32>> {
    let mut found = options;
    for kind in [TCA_U32_ACT, FIRST_ACTION, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS] {
        match found.nested_of(kind)? {
            Some(inner) => found = inner,
            None => return Ok(None),
        }
    }
    Ok(read_u32(found.value, MIRRED_IFINDEX_AT))
}
