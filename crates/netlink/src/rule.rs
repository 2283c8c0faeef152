//! Policy routing: which table a packet's route is looked up in.

use std::net::IpAddr;

use ip::Family;
use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use crate::error::{Error, Request, Result};
use crate::message::{Message, attributes, read_u32};
use crate::outgoing::Outgoing;
use crate::socket::Socket;

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
/// Length of `struct fib_rule_hdr`.
const HEADER_LEN: usize = 12;
const WHAT: &str = "a routing rule";

/// Packets from somewhere are routed by a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Where they come from.
    pub source: IpNetwork,
    /// Number of the routing table to look up, see [`crate::table`].
    pub table: u32,
    /// Rules with a lower number come first. Without one, the kernel puts a rule before all others but the first, which
    /// is for this host's own addresses.
    pub priority: Option<u32>,
}

impl Rule {
    /// The rule for what one address sends.
    #[must_use]
    pub fn from_address(source: IpAddr, table: u32) -> Self {
        Rule { source: source.into(), table, priority: None }
    }

    fn family(&self) -> Family {
        Family::of(self.source.ip())
    }
}

impl Socket {
    /// The rules of one family that go by where a packet comes from.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn rules(&mut self, family: Family) -> Result<Vec<Rule>> {
        let mut message = RuleMessage::default();
        message.header.family = address_family(family);
        self.dump(&Request::ListRules, RTM_GETRULE, &message, read)
    }
}

pub(crate) fn push_add(outgoing: &mut Outgoing, rule: &Rule, flags: u16) {
    outgoing.push(Request::AddRule { source: rule.source, table: rule.table }, RTM_NEWRULE, flags, &message(rule));
}

pub(crate) fn push_delete(outgoing: &mut Outgoing, rule: &Rule) {
    outgoing.push(Request::DeleteRule { source: rule.source, table: rule.table }, RTM_DELRULE, 0, &message(rule));
}

fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(rule.family());
    message.header.src_len = rule.source.prefix();
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Source(rule.source.ip()));
    message.attributes.push(RuleAttribute::Table(rule.table));
    message.attributes.extend(rule.priority.map(RuleAttribute::Priority));
    message
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// Reads an `RTM_NEWRULE`; `None` for one that does not go by the source.
fn read(message: &Message<'_>) -> Result<Option<Rule>> {
    let &[_family, _destination_len, source_len, _tos, table, ..] = message.body else {
        return Err(Error::Malformed { what: WHAT });
    };
    let (mut source, mut table, mut priority) = (None, u32::from(table), None);
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            FRA_SRC => source = Some(attribute.ip()?),
            FRA_TABLE => table = read_u32(attribute.value, 0).ok_or(Error::Malformed { what: WHAT })?,
            FRA_PRIORITY => priority = Some(attribute.u32()?),
            _ => {}
        }
    }
    let Some(source) = source else { return Ok(None) };
    let source = IpNetwork::new(source, source_len).map_err(|_| Error::Malformed { what: WHAT })?;
    Ok(Some(Rule { source, table, priority }))
}
