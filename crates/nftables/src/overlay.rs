//! The table of networks over many hosts: who may send into them, and what stays apart.
//!
//! VXLAN proves nothing of who sends, so packets with an identifier of ours are taken from hosts of the cluster only. They are not
//! tracked: each inner flow would be a connection of its own, for its source port is a hash.
//!
//! Whatever has a network's address as its source has to come in where the host would send the answer to. That keeps containers from
//! sending under others' addresses, hosts from sending as containers of this one, and one network from sending as another. What
//! a network's device brings from elsewhere is dropped as well.
//!
//! Forwarded packets stay in their network; what leaves one is the host's own business (masquerade, published ports), unless the
//! network is internal.
//!
//! Ports that every host answers are in `ingress`.
//!
//! Rules are constant; all that changes is in sets. One program makes the table, the agent, and nobody else changes it.

mod ingress;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use nfnetlink::{Batch, Message, subsystem};

use crate::connection::Connection;
use crate::expression::{Expressions, Interface, Side, Version, interface_name, octets};
use crate::object::{
    Data, Held, Hook, Interval, Keys, Mapped, Place, Table, del_element, del_table, interval_elements, new_chain,
    new_element, new_interval_set, new_rule, new_set, new_table,
};
use crate::uapi::hook::{FORWARD, OUTPUT, PREROUTING};
use crate::{Error, Family, Result};

pub use ingress::{Asked, Ingress, MARK_BITS, SLOTS, Slots, mark};
pub use reader::Reader;

/// The table.
pub const TABLE: Table<'static> = Table { family: Family::Inet, name: "ferrocni_overlay" };
const ABOUT: &str =
    "ferrocni: networks over many hosts; ferrocni-overlay makes this table anew, put no rules of your own here";
/// The comment of elements.
const LABEL: &str = "ferrocni:overlay";

const RAW: i32 = -300;
const FILTER: i32 = 0;

// nft's numbers of types; see ruleset/sets.rs.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const MARK: u32 = 19;
const NAME: u32 = 41;

/// What the table has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// VXLAN's UDP port.
    pub port: u16,
    /// The identifiers of the networks that this host has joined.
    pub vnis: BTreeSet<u32>,
    /// Those that are used inside of what is encrypted, and nowhere else.
    pub inner_vnis: BTreeSet<u32>,
    /// The devices that encrypt.
    pub tunnels: BTreeSet<String>,
    /// Their devices.
    pub devices: BTreeSet<String>,
    /// The addresses of the other hosts, thousands perhaps: a change of something else goes by without a look at them if they are shared.
    pub peers: Arc<BTreeSet<IpAddr>>,
    /// The networks' subnets, and whether each is internal.
    pub subnets: BTreeMap<IpNetwork, bool>,
    /// Ports that every host answers.
    pub ingress: Ingress,
}

/// A set of single keys, or a map of them.
struct Hash {
    name: &'static str,
    keys: Keys,
    mapped: Mapped,
    about: &'static str,
    content: fn(&Overlay) -> Content,
}

/// The keys of a set, or a map's with their values.
type Content = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A set of intervals, with the lengths of its fields.
struct Ranges {
    name: &'static str,
    keys: Keys,
    fields: &'static [u32],
    about: &'static str,
    content: fn(&Overlay) -> BTreeSet<Interval>,
}

const HASHES: [Hash; 6] = [
    Hash {
        name: "vnis",
        keys: keys(MARK, 4),
        mapped: Mapped::Nothing,
        about: "identifiers of networks, as VXLAN's header has them",
        content: |wanted| vnis(&wanted.vnis),
    },
    Hash {
        name: "inner_vnis",
        keys: keys(MARK, 4),
        mapped: Mapped::Nothing,
        about: "identifiers that are used inside of what is encrypted only",
        content: |wanted| vnis(&wanted.inner_vnis),
    },
    Hash {
        name: "tunnels",
        keys: keys(NAME, 16),
        mapped: Mapped::Nothing,
        about: "devices that encrypt",
        content: |wanted| names(&wanted.tunnels),
    },
    Hash {
        name: "devices",
        keys: keys(NAME, 16),
        mapped: Mapped::Nothing,
        about: "the networks' devices",
        content: |wanted| names(&wanted.devices),
    },
    Hash {
        name: "peers4",
        keys: keys(IPV4, 4),
        mapped: Mapped::Nothing,
        about: "hosts that may send",
        content: |wanted| addresses(&wanted.peers, Version::V4),
    },
    Hash {
        name: "peers6",
        keys: keys(IPV6, 16),
        mapped: Mapped::Nothing,
        about: "hosts that may send",
        content: |wanted| addresses(&wanted.peers, Version::V6),
    },
];

const SUBNETS: &str = "subnets of networks";
const WITHIN: &str = "source . destination: within a network";
const INTERNAL: &str = "subnets of networks that nothing leaves";

const RANGES: [Ranges; 6] = [
    Ranges {
        name: "subnets4",
        keys: keys(IPV4, 4),
        fields: &[4],
        about: SUBNETS,
        content: |w| subnets(w, Version::V4, |_| true),
    },
    Ranges {
        name: "subnets6",
        keys: keys(IPV6, 16),
        fields: &[16],
        about: SUBNETS,
        content: |w| subnets(w, Version::V6, |_| true),
    },
    Ranges {
        name: "internal4",
        keys: keys(IPV4, 4),
        fields: &[4],
        about: INTERNAL,
        content: |w| subnets(w, Version::V4, |it| it),
    },
    Ranges {
        name: "internal6",
        keys: keys(IPV6, 16),
        fields: &[16],
        about: INTERNAL,
        content: |w| subnets(w, Version::V6, |it| it),
    },
    Ranges {
        name: "within4",
        keys: keys(IPV4 << 6 | IPV4, 8),
        fields: &[4, 4],
        about: WITHIN,
        content: |w| within(w, Version::V4),
    },
    Ranges {
        name: "within6",
        keys: keys(IPV6 << 6 | IPV6, 32),
        fields: &[16, 16],
        about: WITHIN,
        content: |w| within(w, Version::V6),
    },
];

const fn keys(kind: u32, length: u32) -> Keys {
    Keys { kind, length, host_order: kind == NAME }
}

fn vnis(vnis: &BTreeSet<u32>) -> Content {
    vnis.iter().map(|vni| ((vni << 8).to_be_bytes().to_vec(), None)).collect()
}

fn names(names: &BTreeSet<String>) -> Content {
    names.iter().map(|name| (interface_name(name).to_vec(), None)).collect()
}

fn addresses(addresses: &BTreeSet<IpAddr>, version: Version) -> Content {
    let of_version = addresses.iter().filter(|address| Version::of(**address) == version);
    of_version.map(|address| (octets(*address), None)).collect()
}

fn hashes() -> impl Iterator<Item = Hash> {
    HASHES.into_iter().chain(ingress::HASHES)
}

fn subnets(wanted: &Overlay, version: Version, pick: impl Fn(bool) -> bool) -> BTreeSet<Interval> {
    let of_version = wanted.subnets.iter().filter(|(subnet, _)| Version::of(subnet.ip()) == version);
    of_version.filter(|(_, internal)| pick(**internal)).map(|(subnet, _)| interval(*subnet)).collect()
}

fn interval(subnet: IpNetwork) -> Interval {
    Interval { first: octets(subnet.network()), last: octets(subnet.broadcast()) }
}

fn within(wanted: &Overlay, version: Version) -> BTreeSet<Interval> {
    let twice = |Interval { first, last }| Interval { first: first.repeat(2), last: last.repeat(2) };
    subnets(wanted, version, |_| true).into_iter().map(twice).collect()
}

fn place(set: &'static str) -> Place<'static> {
    Place { table: TABLE, set }
}

/// A chain with its rules.
struct Chain {
    name: &'static str,
    hook: Option<Hook>,
    rules: Vec<Message>,
}

impl Chain {
    fn new(name: &'static str, hook: Option<Hook>) -> Self {
        Self { name, hook, rules: Vec::new() }
    }

    fn rule(mut self, fill: impl FnOnce(&mut Expressions<'_>)) -> Self {
        self.rules.push(new_rule(TABLE, self.name, fill));
        self
    }

    fn with(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }

    fn rules(self, fill: impl Fn(&mut Expressions<'_>, Version)) -> Self {
        Version::BOTH.into_iter().fold(self, |chain, version| chain.rule(|rule| fill(rule, version)))
    }
}

fn of<'a>(version: Version, v4: &'a str, v6: &'a str) -> &'a str {
    if version == Version::V4 { v4 } else { v6 }
}

/// In the order in which they can be made: what is jumped to comes first.
fn chains(port: u16) -> Vec<Chain> {
    let base = |number, priority| Some(Hook { kind: "filter", number, priority });
    let mut chains = ingress::chains();
    chains.extend([
        Chain::new("untracked", None).rule(|rule| {
            rule.notrack();
        }),
        Chain::new("outer", None)
            .rules(|rule, version| {
                rule.address_in_set(Side::Source, version, of(version, "peers4", "peers6")).goto("untracked");
            })
            .rule(|rule| {
                rule.counted_drop();
            }),
        Chain::new("inner", None).rule(|rule| rule.interface_in(Interface::In, "tunnels").goto("untracked")).rule(
            |rule| {
                rule.counted_drop();
            },
        ),
        Chain::new("prerouting", base(PREROUTING, RAW))
            .rule(|rule| rule.udp_port(port).destination_is_local().vni_in("inner_vnis").goto("inner"))
            .rule(|rule| rule.udp_port(port).destination_is_local().vni_in("vnis").goto("outer"))
            .rules(|rule, version| {
                let subnets = of(version, "subnets4", "subnets6");
                rule.address_in_set(Side::Source, version, subnets).source_is_elsewhere().counted_drop();
            })
            .with(ingress::in_prerouting)
            .rules(|rule, version| {
                let subnets = of(version, "subnets4", "subnets6");
                rule.interface_in(Interface::In, "devices")
                    .address_not_in_set(Side::Source, version, subnets)
                    .counted_drop();
            }),
        Chain::new("output", base(OUTPUT, RAW))
            .rule(|rule| rule.udp_port(port).vni_in("vnis").goto("untracked"))
            .rule(|rule| rule.udp_port(port).vni_in("inner_vnis").goto("untracked")),
        Chain::new("forward", base(FORWARD, FILTER))
            .with(ingress::before_forwarding)
            .rule(|rule| rule.ct_state_established_or_related().return_())
            .rules(|rule, version| rule.addresses_in_set(version, of(version, "within4", "within6")).return_())
            .rule(|rule| rule.ct_status_dnat().return_())
            .with(ingress::after_published)
            .rules(|rule, version| {
                rule.address_in_set(Side::Destination, version, of(version, "subnets4", "subnets6")).counted_drop();
            })
            .rules(|rule, version| {
                rule.address_in_set(Side::Source, version, of(version, "internal4", "internal6")).counted_drop();
            }),
    ]);
    chains
}

/// The table in the network namespace of the thread that opened it, and what was last put into it.
#[derive(Debug)]
pub struct Guard {
    connection: Connection,
    current: Option<Overlay>,
}

impl Guard {
    /// Opens a socket. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel has no netfilter netlink.
    pub fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open()?, current: None })
    }

    /// Has the table know this, in one transaction: packets see the old or the new. The first time, and after
    /// [`Guard::is_whole`] has found it changed, the table is made anew.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn set(&mut self, wanted: &Overlay) -> Result<()> {
        let batch = match self.current.take() {
            Some(current) if current == *wanted => {
                self.current = Some(current);
                return Ok(());
            }
            Some(current) if current.port == wanted.port => changes(&current, wanted),
            _ => anew(wanted),
        };
        let doing = || format!("change nftables table {TABLE}");
        self.connection.commit(batch).map_err(|source| Error::Netlink { doing: doing(), source })?;
        self.current = Some(wanted.clone());
        Ok(())
    }

    /// Whether the table is as it was made: no rule is missing or added, and no element.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn is_whole(&mut self) -> Result<bool> {
        let Some(wanted) = self.current.take() else { return Ok(true) };
        let is_whole = self.holds(&wanted)?;
        self.current = is_whole.then_some(wanted);
        Ok(is_whole)
    }

    fn holds(&mut self, wanted: &Overlay) -> Result<bool> {
        if reader::damage(&mut self.connection)?.is_some() {
            return Ok(false);
        }
        for (set, content) in contents(wanted) {
            let found = self.connection.elements(place(set))?.into_iter().map(as_content).collect();
            if content != found {
                return Ok(false);
            }
        }
        for set in RANGES {
            let found: BTreeSet<_> =
                self.connection.elements(place(set.name))?.into_iter().map(|held| held.key).collect();
            if !(set.content)(wanted).iter().all(|interval| found.contains(&interval.first)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the table, if it is there.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn remove(&mut self) -> Result<()> {
        self.current = None;
        let mut batch = Batch::new(subsystem::NFTABLES);
        batch.push(del_table(TABLE));
        match self.connection.commit(batch) {
            Err(source) if !source.is_not_found() => {
                Err(Error::Netlink { doing: format!("delete nftables table {TABLE}"), source })
            }
            _ => Ok(()),
        }
    }
}

/// The whole table in the place of whatever has its name.
fn anew(wanted: &Overlay) -> Batch {
    let mut batch = Batch::new(subsystem::NFTABLES);
    for message in [new_table(TABLE, ABOUT), del_table(TABLE), new_table(TABLE, ABOUT)] {
        batch.push(message);
    }
    let mut id = 0;
    let mut number = || {
        id += 1;
        id
    };
    for set in hashes() {
        batch.push(new_set(place(set.name), number(), set.keys, set.mapped, set.about));
    }
    for set in RANGES {
        batch.push(new_interval_set(place(set.name), number(), set.keys, set.fields, set.about));
    }
    ingress::push_slot_maps(&mut batch, &mut number);
    let chains = chains(wanted.port);
    for chain in &chains {
        batch.push(new_chain(TABLE, chain.name, chain.hook));
    }
    for chain in chains {
        chain.rules.into_iter().for_each(|rule| batch.push(rule));
    }
    push_changes(&mut batch, &Overlay::default(), wanted);
    batch
}

fn changes(current: &Overlay, wanted: &Overlay) -> Batch {
    let mut batch = Batch::new(subsystem::NFTABLES);
    push_changes(&mut batch, current, wanted);
    batch
}

fn push_changes(batch: &mut Batch, current: &Overlay, wanted: &Overlay) {
    let (current, wanted) = (&without_peers_of(current, wanted), &without_peers_of(wanted, current));
    for set in hashes() {
        change(batch, set.name, &(set.content)(current), &(set.content)(wanted));
    }
    ingress::push_slots(batch, &current.ingress, &wanted.ingress);
    for set in RANGES {
        let (old, new) = ((set.content)(current), (set.content)(wanted));
        for (intervals, add) in [(old.difference(&new), false), (new.difference(&old), true)] {
            for interval in intervals {
                for message in interval_elements(place(set.name), interval, set.fields, add) {
                    batch.push(message);
                }
            }
        }
    }
}

/// What comes or goes is all that has to be put into the kernel's form.
fn without_peers_of(one: &Overlay, other: &Overlay) -> Overlay {
    let is_same = Arc::ptr_eq(&one.peers, &other.peers);
    let peers = if is_same { BTreeSet::new() } else { &*one.peers - &*other.peers };
    Overlay { peers: peers.into(), ..one.clone() }
}

/// An element whose data is another is removed and made anew: in one transaction, packets see one of them.
fn change(batch: &mut Batch, set: &'static str, old: &Content, new: &Content) {
    for (key, _) in old.iter().filter(|(key, data)| new.get(*key) != Some(data)) {
        batch.push(del_element(place(set), key));
    }
    for (key, data) in new.iter().filter(|(key, data)| old.get(*key) != Some(data)) {
        let data = data.clone().map(Data::Value);
        batch.push(new_element(
            place(set),
            &Held { key: key.clone(), data, label: LABEL.to_owned(), link: None },
            true,
        ));
    }
}

/// The sets of single keys and the maps with what has to be in them.
fn contents(wanted: &Overlay) -> impl Iterator<Item = (&'static str, Content)> {
    hashes().map(|set| (set.name, (set.content)(wanted))).chain(ingress::slots(&wanted.ingress))
}

/// An element as [`contents`] has it.
fn as_content(held: Held) -> (Vec<u8>, Option<Vec<u8>>) {
    let data = match held.data {
        Some(Data::Value(bytes)) => Some(bytes),
        _ => None,
    };
    (held.key, data)
}
