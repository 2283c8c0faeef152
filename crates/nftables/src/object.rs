//! Messages that make, change and ask for tables, chains, sets, rules and elements.

use nfnetlink::{Attributes, Message, family, flags, subsystem};

use crate::expression::Expressions;
use crate::uapi::{chain, comment, data, element, elements, hook, list, operation, rule, set, table, verdict};

/// The protocol family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4 only.
    Ip,
    /// IPv6 only.
    Ip6,
    /// Ethernet bridges.
    Bridge,
}

impl Family {
    /// The family's number in netfilter messages (`NFPROTO_*`).
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Inet => family::INET,
            Self::Ip => family::IPV4,
            Self::Ip6 => family::IPV6,
            Self::Bridge => family::BRIDGE,
        }
    }
}

impl std::fmt::Display for Family {
    /// As nft writes it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Bridge => "bridge",
        })
    }
}

/// The family and name by which the kernel knows a table: two families may each have one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table<'a> {
    /// The family, the first word in `table inet ferrocni`.
    pub family: Family,
    /// The name, unique within its family and network namespace.
    pub name: &'a str,
}

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.family, self.name)
    }
}

/// Where and when the kernel enters a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

/// What a map's element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Value(Vec<u8>),
    Jump(String),
    Goto(String),
}

/// The set or map of a table that an element lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) set: &'a str,
}

/// An element as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) key: Vec<u8>,
    pub(crate) data: Option<Data>,
    /// Its comment; empty if it has none.
    pub(crate) label: String,
    /// The link on the host that its holder ends with, as far as the element says so.
    pub(crate) link: Option<String>,
}

impl Held {
    /// Whether both do the same for the same holder.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.data == other.data && self.label == other.label
    }
}

pub(crate) fn request(operation: u8, flags: u16, family: Family) -> Message {
    Message::new(subsystem::NFTABLES, operation, flags, family.number())
}

/// The userdata that nft shows as a comment. `text` is at most [`comment::MAX_LENGTH`] bytes.
fn userdata(kind: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[kind, length], text.as_bytes(), &[0]].concat()
}

/// The text of this kind in an object's userdata, which is a list of `[kind, length, value]`.
pub(crate) fn text_in(mut userdata: &[u8], wanted: u8) -> Option<&str> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok();
        }
        userdata = after;
    }
    None
}

/// An element's userdata: whose it is, and the link where there is room beside the longest labels.
fn whose(held: &Held) -> Vec<u8> {
    let label = userdata(comment::KIND, &held.label);
    let link = held.link.as_deref().map(|link| userdata(comment::LINK, link)).unwrap_or_default();
    if label.len() + link.len() > comment::MAX_USERDATA { label } else { [label, link].concat() }
}

/// Without flags, so that a dormant table wakes.
pub(crate) fn new_table(of: Table<'_>, about: &str) -> Message {
    let mut message = request(operation::NEW_TABLE, flags::CREATE, of.family);
    message.text(table::NAME, of.name).be32(table::FLAGS, 0).bytes(table::USERDATA, &userdata(comment::KIND, about));
    message
}

pub(crate) fn del_table(of: Table<'_>) -> Message {
    about_one_table(operation::DEL_TABLE, of)
}

pub(crate) fn get_table(of: Table<'_>) -> Message {
    about_one_table(operation::GET_TABLE, of)
}

fn about_one_table(operation: u8, of: Table<'_>) -> Message {
    let mut message = request(operation, 0, of.family);
    message.text(table::NAME, of.name);
    message
}

/// The comment of a table, if it has one.
pub(crate) fn about_table(attributes: Attributes<'_>) -> Option<String> {
    attributes.find(table::USERDATA).and_then(|found| text_in(found.value, comment::KIND)).map(str::to_owned)
}

fn about_chain(operation: u8, flags: u16, of: Table<'_>, name: &str) -> Message {
    let mut message = request(operation, flags, of.family);
    message.text(chain::TABLE, of.name).text(chain::NAME, name);
    message
}

pub(crate) fn new_chain(of: Table<'_>, name: &str, hooked: Option<Hook>) -> Message {
    let mut message = about_chain(operation::NEW_CHAIN, flags::CREATE, of, name);
    if let Some(Hook { kind, number, priority }) = hooked {
        message.nest(chain::HOOK, |message| {
            message.be32(hook::NUMBER, number).bytes(hook::PRIORITY, &priority.to_be_bytes());
        });
        message.text(chain::TYPE, kind);
    }
    message
}

/// The hook among a chain's attributes; none if it is no base chain. A type that none of ours has is called "other".
pub(crate) fn read_hook(attributes: Attributes<'_>) -> Option<Hook> {
    let found = attributes.inside(chain::HOOK);
    let kind = match attributes.find(chain::TYPE).and_then(|kind| kind.text()) {
        Some("filter") => "filter",
        Some("nat") => "nat",
        _ => "other",
    };
    let priority = found.find(hook::PRIORITY)?.be32()?.cast_signed();
    Some(Hook { kind, number: found.find(hook::NUMBER)?.be32()?, priority })
}

pub(crate) fn get_chain(of: Table<'_>, name: &str) -> Message {
    about_chain(operation::GET_CHAIN, 0, of, name)
}

/// Selects the chains of all tables of a family, for a dump.
pub(crate) fn get_chains(family: Family) -> Message {
    request(operation::GET_CHAIN, 0, family)
}

pub(crate) fn del_chain(of: Table<'_>, name: &str) -> Message {
    about_chain(operation::DEL_CHAIN, 0, of, name)
}

/// Appends a rule of what `fill` writes.
pub(crate) fn new_rule(of: Table<'_>, name: &str, fill: impl FnOnce(&mut Expressions<'_>)) -> Message {
    let mut message = request(operation::NEW_RULE, flags::CREATE | flags::APPEND, of.family);
    message.text(rule::TABLE, of.name).text(rule::CHAIN, name);
    message.nest(rule::EXPRESSIONS, |message| fill(&mut Expressions::new(message)));
    message
}

/// Selects all rules of one chain, for a dump.
pub(crate) fn get_rules(of: Table<'_>, name: &str) -> Message {
    let mut message = request(operation::GET_RULE, 0, of.family);
    message.text(rule::TABLE, of.name).text(rule::CHAIN, name);
    message
}

/// Selects all rules of a table, for a dump.
pub(crate) fn get_all_rules(of: Table<'_>) -> Message {
    let mut message = request(operation::GET_RULE, 0, of.family);
    message.text(rule::TABLE, of.name);
    message
}

/// Selects all sets of a table, for a dump.
pub(crate) fn get_sets(of: Table<'_>) -> Message {
    let mut message = request(operation::GET_SET, 0, of.family);
    message.text(set::TABLE, of.name);
    message
}

/// Deletes all rules of one chain.
pub(crate) fn del_rules(of: Table<'_>, name: &str) -> Message {
    let mut message = request(operation::DEL_RULE, 0, of.family);
    message.text(rule::TABLE, of.name).text(rule::CHAIN, name);
    message
}

/// Deletes one rule by the number that the kernel gave it.
pub(crate) fn del_rule(of: Table<'_>, name: &str, handle: u64) -> Message {
    let mut message = del_rules(of, name);
    message.be64(rule::HANDLE, handle);
    message
}

/// The keys of a set, for its definition: a type number and a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    pub(crate) kind: u32,
    pub(crate) length: u32,
    pub(crate) host_order: bool,
}

/// What a map maps to, for its definition: a type number and a length, or a verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mapped {
    Nothing,
    Verdict,
    Value { kind: u32, length: u32 },
}

/// A range of keys as a set of intervals has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
}

/// Makes a set of intervals. Its keys have as many fields as `fields` has lengths, in bytes, each a multiple of four.
pub(crate) fn new_interval_set(place: Place<'_>, id: u32, key: Keys, fields: &[u32], about: &str) -> Message {
    let is_concatenation = fields.len() > 1;
    let mut message = request(operation::NEW_SET, flags::CREATE, place.table.family);
    message.text(set::TABLE, place.table.name).text(set::NAME, place.set);
    message.be32(set::FLAGS, set::FLAG_INTERVAL | if is_concatenation { set::FLAG_CONCAT } else { 0 });
    message.be32(set::KEY_TYPE, key.kind).be32(set::KEY_LENGTH, key.length);
    if is_concatenation {
        message.nest(set::DESCRIPTION, |message| {
            message.nest(set::DESCRIPTION_CONCAT, |message| {
                for length in fields {
                    message.nest(list::ELEMENT, |message| {
                        message.be32(set::FIELD_LENGTH, *length);
                    });
                }
            });
        });
    }
    message.be32(set::ID, id).bytes(set::USERDATA, &userdata(comment::KIND_IN_SET, about));
    message
}

/// Adds or deletes an interval. With several fields it is one element, with one field two: where it begins and where it has ended,
/// unless that is beyond the last key of all.
pub(crate) fn interval_elements(place: Place<'_>, interval: &Interval, fields: &[u32], add: bool) -> Vec<Message> {
    let (operation, flags) = if add { (operation::NEW_ELEMENT, flags::CREATE) } else { (operation::DEL_ELEMENT, 0) };
    if fields.len() > 1 {
        return vec![about_element(operation, flags, place, |message| {
            write_key(message, &interval.first);
            message.nest(element::KEY_END, |message| {
                message.bytes(data::VALUE, &interval.last);
            });
        })];
    }
    let begin = about_element(operation, flags, place, |message| write_key(message, &interval.first));
    let end = after(&interval.last).map(|end| {
        about_element(operation, flags, place, |message| {
            write_key(message, &end);
            message.be32(element::FLAGS, element::FLAG_INTERVAL_END);
        })
    });
    std::iter::once(begin).chain(end).collect()
}

/// The next key in network byte order; `None` after the last of all.
fn after(key: &[u8]) -> Option<Vec<u8>> {
    let last = key.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = key.to_vec();
    next[last] += 1;
    next[last + 1..].fill(0);
    Some(next)
}

/// Makes a set or map: a plain hash, whose size has no bound, because no size is given and no interval
/// asked for. `id` tells sets of one batch apart.
///
/// nft takes names of interfaces for numbers unless the set says that its keys are in host byte order.
pub(crate) fn new_set(place: Place<'_>, id: u32, key: Keys, mapped: Mapped, about: &str) -> Message {
    let mut message = request(operation::NEW_SET, flags::CREATE, place.table.family);
    message.text(set::TABLE, place.table.name).text(set::NAME, place.set);
    let is_map = !matches!(mapped, Mapped::Nothing);
    message.be32(set::FLAGS, if is_map { set::FLAG_MAP } else { 0 });
    message.be32(set::KEY_TYPE, key.kind).be32(set::KEY_LENGTH, key.length);
    match mapped {
        Mapped::Nothing => {}
        Mapped::Verdict => {
            message.be32(set::DATA_TYPE, set::TYPE_VERDICT);
        }
        Mapped::Value { kind, length } => {
            message.be32(set::DATA_TYPE, kind).be32(set::DATA_LENGTH, length);
        }
    }
    let mut userdata = userdata(comment::KIND_IN_SET, about);
    if key.host_order {
        userdata.extend(comment::KEYS_IN_HOST_ORDER);
        userdata.extend(1_u32.to_ne_bytes());
    }
    message.be32(set::ID, id).bytes(set::USERDATA, &userdata);
    message
}

fn about_element(operation: u8, flags: u16, place: Place<'_>, fill: impl FnOnce(&mut Message)) -> Message {
    let mut message = request(operation, flags, place.table.family);
    message.text(elements::TABLE, place.table.name).text(elements::SET, place.set);
    message.nest(elements::LIST, |message| {
        message.nest(list::ELEMENT, fill);
    });
    message
}

fn write_key(message: &mut Message, key: &[u8]) {
    message.nest(element::KEY, |message| {
        message.bytes(data::VALUE, key);
    });
}

/// Adds an element; refused with `EEXIST` or `EBUSY` if its key is there, unless `shared`, when the same
/// key with the same data is welcome.
pub(crate) fn new_element(place: Place<'_>, held: &Held, shared: bool) -> Message {
    let flags = flags::CREATE | if shared { 0 } else { flags::EXCL };
    about_element(operation::NEW_ELEMENT, flags, place, |message| {
        write_key(message, &held.key);
        if let Some(data) = &held.data {
            message.nest(element::DATA, |message| write_data(message, data));
        }
        message.bytes(element::USERDATA, &whose(held));
    })
}

pub(crate) fn get_element(place: Place<'_>, key: &[u8]) -> Message {
    about_element(operation::GET_ELEMENT, 0, place, |message| write_key(message, key))
}

pub(crate) fn del_element(place: Place<'_>, key: &[u8]) -> Message {
    about_element(operation::DEL_ELEMENT, 0, place, |message| write_key(message, key))
}

/// Selects all elements of a set, for a dump.
pub(crate) fn get_elements(place: Place<'_>) -> Message {
    let mut message = request(operation::GET_ELEMENT, 0, place.table.family);
    message.text(elements::TABLE, place.table.name).text(elements::SET, place.set);
    message
}

fn write_data(message: &mut Message, held: &Data) {
    match held {
        Data::Value(bytes) => {
            message.bytes(data::VALUE, bytes);
        }
        Data::Jump(name) => write_verdict(message, verdict::JUMP, Some(name)),
        Data::Goto(name) => write_verdict(message, verdict::GOTO, Some(name)),
    }
}

pub(crate) fn write_verdict(message: &mut Message, code: i32, target: Option<&str>) {
    message.nest(data::VERDICT, |message| {
        message.bytes(verdict::CODE, &code.to_be_bytes());
        if let Some(target) = target {
            message.text(verdict::CHAIN, target);
        }
    });
}

fn read_data(attributes: Attributes<'_>) -> Option<Data> {
    if let Some(value) = attributes.find(data::VALUE) {
        return Some(Data::Value(value.value.to_vec()));
    }
    let target = attributes.inside(data::VERDICT);
    let name = target.find(verdict::CHAIN)?.text()?.to_owned();
    match target.find(verdict::CODE)?.be32()?.cast_signed() {
        verdict::JUMP => Some(Data::Jump(name)),
        verdict::GOTO => Some(Data::Goto(name)),
        _ => None,
    }
}

/// The elements in one message about a set.
pub(crate) fn read_elements<'a>(message: Attributes<'a>) -> impl Iterator<Item = Held> + 'a {
    message.inside(elements::LIST).filter_map(|item| {
        let attributes = item.nested();
        let userdata = attributes.find(element::USERDATA).map(|found| found.value).unwrap_or_default();
        Some(Held {
            key: attributes.inside(element::KEY).find(data::VALUE)?.value.to_vec(),
            data: read_data(attributes.inside(element::DATA)),
            label: text_in(userdata, comment::KIND).unwrap_or_default().to_owned(),
            link: text_in(userdata, comment::LINK).map(str::to_owned),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_label_fits_and_is_read_back() {
        let label = "l".repeat(comment::MAX_LENGTH);
        let bytes = userdata(comment::KIND, &label);
        assert_eq!(bytes.len(), comment::MAX_USERDATA);
        assert_eq!(text_in(&bytes, comment::KIND), Some(label.as_str()));
    }

    #[test]
    fn a_comment_is_found_behind_other_userdata_and_truncation_is_survived() {
        let bytes = [&[9, 2, 1, 1][..], &userdata(comment::KIND, "x")].concat();
        assert_eq!(text_in(&bytes, comment::KIND), Some("x"));
        for end in 0..bytes.len() {
            assert_eq!(text_in(&bytes[..end], comment::KIND), None);
        }
    }

    #[test]
    fn an_element_is_read_as_it_was_written() {
        let place = Place { table: Table { family: Family::Inet, name: "t" }, set: "s" };
        for data in
            [None, Some(Data::Value(vec![1, 2, 3, 4])), Some(Data::Jump("a".into())), Some(Data::Goto("b".into()))]
        {
            for link in [None, Some("vethabc".to_owned())] {
                let held = Held { key: vec![10, 0, 0, 1], data: data.clone(), label: "ferrocni:n/c/eth0".into(), link };
                assert_eq!(written_and_read(place, &held), held);
            }
        }
    }

    #[test]
    fn the_longest_labels_leave_no_room_for_a_link() {
        let place = Place { table: Table { family: Family::Inet, name: "t" }, set: "s" };
        for (length, fits) in [(comment::MAX_LENGTH - 10, true), (comment::MAX_LENGTH - 9, false)] {
            let held = Held { key: vec![1], data: None, label: "l".repeat(length), link: Some("vethabc".into()) };
            let read = written_and_read(place, &held);
            assert_eq!((read.label == held.label, read.link.is_some()), (true, fits), "{length}");
        }
    }

    fn written_and_read(place: Place<'_>, held: &Held) -> Held {
        let message = new_element(place, held, false);
        read_elements(Attributes::new(message.attributes())).next().expect("one element")
    }
}
