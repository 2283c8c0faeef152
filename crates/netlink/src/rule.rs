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
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;
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

/// What happens to packets whose mark, as far as the bits of a mask go, is this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkRule {
    /// The packets' family.
    pub family: Family,
    /// Rules with a lower number come first.
    pub priority: u32,
    /// The mark.
    pub mark: u32,
    /// The bits of it that count; none for every packet.
    pub mask: u32,
    /// What happens.
    pub action: MarkAction,
    /// Which program made it: a number above 100 of its own (`RTPROT_*`).
    pub protocol: u8,
}

/// What a [`MarkRule`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkAction {
    /// Routes by this table.
    Table(u32),
    /// Goes on with the first rule that has this priority.
    Goto(u32),
    /// Nothing: it is gone on to.
    Nothing,
}

impl std::fmt::Display for MarkRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { family, mark, mask, priority, .. } = self;
        write!(formatter, "what is marked {mark:#x}/{mask:#x} of {family} with priority {priority}")
    }
}

impl Socket {
    /// The rules of one family that a program made which go by marks, or by nothing.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn mark_rules(&mut self, family: Family, protocol: u8) -> Result<Vec<MarkRule>> {
        let mut message = RuleMessage::default();
        message.header.family = address_family(family);
        let read = |message: &Message<'_>| Ok(read_mark(message, family)?.filter(|rule| rule.protocol == protocol));
        self.dump(&Request::ListRules, RTM_GETRULE, &message, read)
    }

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

pub(crate) fn push_add_mark(outgoing: &mut Outgoing, rule: &MarkRule, flags: u16) {
    outgoing.push(Request::AddMarkRule(*rule), RTM_NEWRULE, flags, &mark_message(rule));
}

pub(crate) fn push_delete_mark(outgoing: &mut Outgoing, rule: &MarkRule) {
    outgoing.push(Request::DeleteMarkRule(*rule), RTM_DELRULE, 0, &mark_message(rule));
}

fn mark_message(rule: &MarkRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(rule.family);
    match rule.action {
        MarkAction::Table(table) => {
            message.header.action = RuleAction::ToTable;
            message.attributes.push(RuleAttribute::Table(table));
        }
        MarkAction::Goto(priority) => {
            message.header.action = RuleAction::Goto;
            message.attributes.push(RuleAttribute::Goto(priority));
        }
        MarkAction::Nothing => message.header.action = RuleAction::Nop,
    }
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    if rule.mask != 0 {
        message.attributes.extend([RuleAttribute::FwMark(rule.mark), RuleAttribute::FwMask(rule.mask)]);
    }
    message.attributes.push(RuleAttribute::Protocol(rule.protocol.into()));
    message
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

/// Reads an `RTM_NEWRULE`; `None` for one that goes by where packets come from or go to, or does something else.
fn read_mark(message: &Message<'_>, family: Family) -> Result<Option<MarkRule>> {
    let &[_family, destination_len, source_len, _tos, table, _, _, action, ..] = message.body else {
        return Err(Error::Malformed { what: WHAT });
    };
    let (mut table, mut target) = (u32::from(table), 0);
    let (mut priority, mut mark, mut mask, mut protocol) = (0, 0, 0, 0);
    for attribute in attributes(message, HEADER_LEN, WHAT)? {
        let attribute = attribute?;
        match attribute.kind {
            FRA_GOTO => target = attribute.u32()?,
            FRA_PRIORITY => priority = attribute.u32()?,
            FRA_FWMARK => mark = attribute.u32()?,
            FRA_FWMASK => mask = attribute.u32()?,
            FRA_TABLE => table = read_u32(attribute.value, 0).ok_or(Error::Malformed { what: WHAT })?,
            FRA_PROTOCOL => protocol = attribute.value.first().copied().unwrap_or_default(),
            _ => {}
        }
    }
    let action = match RuleAction::from(action) {
        RuleAction::ToTable => MarkAction::Table(table),
        RuleAction::Goto => MarkAction::Goto(target),
        RuleAction::Nop => MarkAction::Nothing,
        _ => return Ok(None),
    };
    let rule = MarkRule { family, priority, mark, mask, action, protocol };
    Ok((destination_len == 0 && source_len == 0).then_some(rule))
}
