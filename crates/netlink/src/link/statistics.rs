//! A link's counters.

use netlink_packet_route::link::LinkMessage;

use crate::error::{Error, Request, Result};
use crate::link::{Link, RTM_NEWLINK, read};
use crate::link_ref::{IFINFOMSG_LEN, RTM_GETLINK};
use crate::message::{Message, attributes};
use crate::socket::Socket;

const WHAT: &str = "a link's statistics";
const IFLA_STATS64: u16 = 23;

/// What a link has received and sent since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Statistics {
    pub received_packets: u64,
    pub sent_packets: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Socket {
    /// All links of the namespace with their statistics, which are several times as long as all the rest: see [`Socket::links`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links_with_statistics(&mut self) -> Result<Vec<(Link, Statistics)>> {
        self.dump(&Request::ListLinks, RTM_GETLINK, &LinkMessage::default(), |message| {
            if message.kind != RTM_NEWLINK {
                return Ok(None);
            }
            Ok(Some((read(message)?, read_statistics(message)?)))
        })
    }
}

/// The first four of `struct rtnl_link_stats64`; a link without has counted nothing.
fn read_statistics(message: &Message<'_>) -> Result<Statistics> {
    for attribute in attributes(message, IFINFOMSG_LEN, WHAT)? {
        let attribute = attribute?;
        if attribute.kind == IFLA_STATS64 {
            return counters(attribute.value).ok_or(Error::Malformed { what: WHAT });
        }
    }
    Ok(Statistics::default())
}

fn counters(value: &[u8]) -> Option<Statistics> {
    let counter = |number: usize| Some(u64::from_ne_bytes(*value.get(8 * number..)?.first_chunk()?));
    Some(Statistics {
        received_packets: counter(0)?,
        sent_packets: counter(1)?,
        received_bytes: counter(2)?,
        sent_bytes: counter(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_in_the_kernel_s_order_and_a_short_list_is_none() {
        let value: Vec<u8> = (1_u64..=6).flat_map(u64::to_ne_bytes).collect();
        let expected = Statistics { received_packets: 1, sent_packets: 2, received_bytes: 3, sent_bytes: 4 };
        assert_eq!(counters(&value), Some(expected));
        assert_eq!(counters(&value[..31]), None);
    }
}
