//! The sets and maps of the skeleton: all that grows with containers is in them.

use super::element::Part;
use super::skeleton::LOCALNET;
use super::{BRIDGE, INET};
use crate::expression::Version;
use crate::object::{Keys, Mapped, Place, Table};

// nft's numbers of types; a concatenation has six bits for each field, and each field is padded to four bytes.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const ETHER: u32 = 9;
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;
const MARK: u32 = 19;
const NAME: u32 = 41;

const fn keys(kind: u32, length: u32) -> Keys {
    Keys { kind, length, host_order: kind == NAME }
}

const IPV4_KEYS: Keys = keys(IPV4, 4);
const IPV6_KEYS: Keys = keys(IPV6, 16);
const PROTOCOL_PORT: Keys = keys(PROTOCOL << 6 | PORT, 8);
const IPV4_PROTOCOL_PORT: Keys = keys((IPV4 << 6 | PROTOCOL) << 6 | PORT, 12);
const IPV6_PROTOCOL_PORT: Keys = keys((IPV6 << 6 | PROTOCOL) << 6 | PORT, 24);
pub(super) const IFNAME: Keys = keys(NAME, 16);
pub(super) const IFNAME_MAC: Keys = keys(NAME << 6 | ETHER, 24);
const IFNAME_IPV4: Keys = keys(NAME << 6 | IPV4, 20);
const IFNAME_IPV6: Keys = keys(NAME << 6 | IPV6, 32);
const IFNAMES_IPV4: Keys = keys((NAME << 6 | NAME) << 6 | IPV4, 36);
const IFNAMES_IPV6: Keys = keys((NAME << 6 | NAME) << 6 | IPV6, 48);

const NOTHING: Mapped = Mapped::Nothing;
const VERDICT: Mapped = Mapped::Verdict;
const IPV4_PORT: Mapped = Mapped::Value { kind: IPV4 << 6 | PORT, length: 8 };
const IPV6_PORT: Mapped = Mapped::Value { kind: IPV6 << 6 | PORT, length: 20 };

/// A set or map of the skeleton.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) table: Table<'static>,
    pub(super) name: &'static str,
    pub(super) part: Part,
    pub(super) key: Keys,
    pub(super) mapped: Mapped,
    pub(super) about: &'static str,
    /// The chains of the skeleton through which packets reach it.
    pub(super) reached_by: &'static [&'static str],
    /// The set of those who wait for its keys.
    waiting: Option<&'static str>,
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Set {}

impl Set {
    pub(super) fn place(&self) -> Place<'static> {
        Place { table: self.table, set: self.name }
    }

    /// The set of those who wait until this one's keys are free, each by its key and its place in the queue. `None` where
    /// a key has one holder: it is the name of a link.
    pub(super) fn waiting(&self) -> Option<Self> {
        let key = keys(self.key.kind << 6 | MARK, self.key.length + 4);
        self.waiting.map(|name| Self { name, key, about: WAITING, waiting: None, ..*self })
    }
}

const fn inet(name: &'static str, part: Part, key: Keys, mapped: Mapped, about: &'static str) -> Set {
    Set { table: INET, name, part, key, mapped, about, reached_by: through(part), waiting: None }
}

const fn bridge(name: &'static str, part: Part, key: Keys, about: &'static str) -> Set {
    let reached_by = if matches!(part, Part::AntiSpoof) { &["prerouting"] } else { &["forward"] };
    Set { table: BRIDGE, name, part, key, mapped: NOTHING, about, reached_by, waiting: None }
}

const fn through(part: Part) -> &'static [&'static str] {
    match part {
        Part::Publish => &[LOCALNET, "prerouting", "output", "publish"],
        Part::Hairpin | Part::Masquerade => &["postrouting"],
        Part::Firewall => &["forward", "member", "unpublished", "isolation"],
        Part::AntiSpoof => &[],
    }
}

/// A set whose keys several can have: see [`Set::waiting`].
macro_rules! shared {
    ($name:literal, $($definition:expr),+) => {
        Set { waiting: Some(concat!($name, "_waiting")), ..inet($name, $($definition),+) }
    };
}

const ONE: &str = "a port of one host address -> container";
const ANY: &str = "a port of every local address -> container";
const HAIRPIN: &str = "container with published ports -> who is masqueraded on the way to it";
const MASQUERADE: &str = "container -> masquerade what leaves its subnet";
const MEMBERS: &str = "containers behind the admin chain and isolation";
const ISOLATED: &str = "container -> which isolated bridge may reach it";
const CLOSED: &str = "containers whose unpublished ports are closed to other machines";
const OWN_LINK: &str = "in . out . closed container: packets that stay on its own link";
const SENDERS: &str = "in . container: packets of this container, and not of another machine";
const CONFINED: &str = "container -> with whom it has to do";
const WAITING: &str = "those who have the same, in the order in which they came: the first takes it over";

static PUBLISHED4: Set = shared!("published4", Part::Publish, IPV4_PROTOCOL_PORT, IPV4_PORT, ONE);
static PUBLISHED6: Set = shared!("published6", Part::Publish, IPV6_PROTOCOL_PORT, IPV6_PORT, ONE);
static PUBLISHED4_ANY: Set = shared!("published4_any", Part::Publish, PROTOCOL_PORT, IPV4_PORT, ANY);
static PUBLISHED6_ANY: Set = shared!("published6_any", Part::Publish, PROTOCOL_PORT, IPV6_PORT, ANY);
static HAIRPIN4: Set = shared!("hairpin4", Part::Hairpin, IPV4_KEYS, VERDICT, HAIRPIN);
static HAIRPIN6: Set = shared!("hairpin6", Part::Hairpin, IPV6_KEYS, VERDICT, HAIRPIN);
static MASQUERADE4: Set = shared!("masquerade4", Part::Masquerade, IPV4_KEYS, VERDICT, MASQUERADE);
static MASQUERADE6: Set = shared!("masquerade6", Part::Masquerade, IPV6_KEYS, VERDICT, MASQUERADE);
static MEMBERS4: Set = shared!("members4", Part::Firewall, IPV4_KEYS, NOTHING, MEMBERS);
static MEMBERS6: Set = shared!("members6", Part::Firewall, IPV6_KEYS, NOTHING, MEMBERS);
static ISOLATED4: Set = shared!("isolated4", Part::Firewall, IPV4_KEYS, VERDICT, ISOLATED);
static ISOLATED6: Set = shared!("isolated6", Part::Firewall, IPV6_KEYS, VERDICT, ISOLATED);
static CONFINED4: Set = shared!("confined4", Part::Firewall, IPV4_KEYS, VERDICT, CONFINED);
static CONFINED6: Set = shared!("confined6", Part::Firewall, IPV6_KEYS, VERDICT, CONFINED);
static CLOSED4: Set = shared!("closed4", Part::Firewall, IPV4_KEYS, NOTHING, CLOSED);
static CLOSED6: Set = shared!("closed6", Part::Firewall, IPV6_KEYS, NOTHING, CLOSED);
static OWN_LINK4: Set = shared!("own_link4", Part::Firewall, IFNAMES_IPV4, NOTHING, OWN_LINK);
static OWN_LINK6: Set = shared!("own_link6", Part::Firewall, IFNAMES_IPV6, NOTHING, OWN_LINK);
static SENDERS4: Set = shared!("senders4", Part::Firewall, IFNAME_IPV4, NOTHING, SENDERS);
static SENDERS6: Set = shared!("senders6", Part::Firewall, IFNAME_IPV6, NOTHING, SENDERS);
/// Its elements belong to chains, not to attachments, and come and go with them.
pub(super) static ISOLATED_BRIDGES: Set =
    inet("isolated_bridges", Part::Firewall, IFNAME, NOTHING, "bridges with isolated containers");
pub(super) static ISOLATED_PORTS: Set =
    bridge("isolated_ports", Part::Firewall, IFNAME, "ports to which nothing is bridged");
pub(super) static GUARDED_PORTS: Set =
    bridge("guarded_ports", Part::AntiSpoof, IFNAME, "ports that may send from listed MAC addresses only");
pub(super) static GUARDED_MACS: Set =
    bridge("guarded_macs", Part::AntiSpoof, IFNAME_MAC, "MAC addresses that a guarded port may send from");

/// All sets, in the order in which `nft list ruleset` shows them.
pub(super) static ALL: [&Set; 24] = [
    &PUBLISHED4,
    &PUBLISHED4_ANY,
    &PUBLISHED6,
    &PUBLISHED6_ANY,
    &HAIRPIN4,
    &HAIRPIN6,
    &MASQUERADE4,
    &MASQUERADE6,
    &MEMBERS4,
    &MEMBERS6,
    &CONFINED4,
    &CONFINED6,
    &CLOSED4,
    &CLOSED6,
    &OWN_LINK4,
    &OWN_LINK6,
    &SENDERS4,
    &SENDERS6,
    &ISOLATED_BRIDGES,
    &ISOLATED4,
    &ISOLATED6,
    &GUARDED_PORTS,
    &GUARDED_MACS,
    &ISOLATED_PORTS,
];

/// The sets of attachments' elements in these parts.
pub(super) fn of(parts: &[Part]) -> impl Iterator<Item = &'static Set> {
    ALL.into_iter().filter(move |set| parts.contains(&set.part) && **set != ISOLATED_BRIDGES)
}

/// The maps whose elements lead to chains.
pub(super) fn to_chains() -> impl Iterator<Item = &'static Set> {
    ALL.into_iter().filter(|set| matches!(set.mapped, Mapped::Verdict))
}

const fn by_version(version: Version, four: &'static Set, six: &'static Set) -> &'static Set {
    match version {
        Version::V4 => four,
        Version::V6 => six,
    }
}

pub(super) fn published(version: Version, any: bool) -> &'static Set {
    match any {
        true => by_version(version, &PUBLISHED4_ANY, &PUBLISHED6_ANY),
        false => by_version(version, &PUBLISHED4, &PUBLISHED6),
    }
}

pub(super) fn hairpin(version: Version) -> &'static Set {
    by_version(version, &HAIRPIN4, &HAIRPIN6)
}

pub(super) fn masquerade(version: Version) -> &'static Set {
    by_version(version, &MASQUERADE4, &MASQUERADE6)
}

pub(super) fn members(version: Version) -> &'static Set {
    by_version(version, &MEMBERS4, &MEMBERS6)
}

pub(super) fn confined(version: Version) -> &'static Set {
    by_version(version, &CONFINED4, &CONFINED6)
}

pub(super) fn closed(version: Version) -> &'static Set {
    by_version(version, &CLOSED4, &CLOSED6)
}

pub(super) fn own_link(version: Version) -> &'static Set {
    by_version(version, &OWN_LINK4, &OWN_LINK6)
}

pub(super) fn senders(version: Version) -> &'static Set {
    by_version(version, &SENDERS4, &SENDERS6)
}

pub(super) fn isolated(version: Version) -> &'static Set {
    by_version(version, &ISOLATED4, &ISOLATED6)
}
