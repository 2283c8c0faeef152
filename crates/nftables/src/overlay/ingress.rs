//! Ports that every host answers, with the client's address kept.
//!
//! A host that is asked sends the first packet of a connection to a slot, which a hash of its source chooses. Behind a slot is a container
//! of its own, or another host's address on the way between hosts (a VXLAN device of its own), where that host leads it to a container in
//! the same way. Both translate the destination only, so that the container sees the client, and for both it is a published port like any
//! other: nothing else has to be let in.
//!
//! The answer has to go back to the host that was asked, which alone can translate it for the client. Who that is, the Ethernet address on
//! the way between hosts tells: it becomes the connection's mark, the mark of each answer, and routing rules lead what has such a mark
//! back ([`mark`]). What would leave by another way is dropped. On the device the mark is cleared, or it would lead the outer packet
//! back into the tunnel.
//!
//! - A packet on the way is from a host that may send, is for a port that is led somewhere, or belongs to such a connection.
//! - Its mark is set before everything else and cleared right before it is routed, so that a check of the way back to its source
//!   (firewalld's `IPv6_rpfilter`) finds that. An answer's is set as late: the way back to a container is the usual one.
//! - Ports that the host publishes for a container of its own come first, as their chain does.
//! - What comes from a host of the cluster, or from a container of a network here, gets this host's address there: the host that it is
//!   sent to would take it for its own, or for forged.
//! - A container that is led to itself is masqueraded, as with any other published port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ip::Protocol;
use netlink::Mac;
use nfnetlink::Batch;

use super::{Chain, Content, Hash, IPV4, IPV6, MARK, NAME, addresses, change, keys, names, of, place};
use crate::expression::{Interface, Side, Spread, Version, interface_name, octets};
use crate::object::{Hook, Keys, Mapped, Place, new_set};
use crate::ruleset::{FOR_THIS_HOST, LOOPBACK4, LOOPBACK6};
use crate::uapi::hook::{OUTPUT, POSTROUTING, PREROUTING};

/// As many parts a port's connections are spread over.
pub const SLOTS: u8 = 64;
/// The bits of the packet and the connection mark that say to which host an answer goes back.
pub const MARK_BITS: u32 = 0xff80_0000;

/// The mark of what goes back to the host with that number.
#[must_use]
pub const fn mark(number: u8, encrypted: bool) -> u32 {
    (number as u32) << 24 | (encrypted as u32) << 23
}

/// Who asks for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Clients ask this host.
    ByClients,
    /// Hosts that clients have asked send on to this one.
    ByHosts,
}

/// As many sockets as there are slots, for each port and family (`true` for IPv4).
pub type Slots = BTreeMap<(Protocol, u16, bool), Vec<SocketAddr>>;

/// What the table has to know of such ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingress {
    /// The devices between hosts.
    pub devices: BTreeSet<String>,
    /// Who may send there, by device and Ethernet address, with the mark of what goes back.
    pub entries: BTreeMap<(String, Mac), u32>,
    /// This host's addresses there.
    pub own: BTreeSet<IpAddr>,
    /// The ports that other hosts may send there, by device; `true` for IPv4.
    pub expected: BTreeSet<(String, Protocol, u16, bool)>,
    /// What is asked of this host.
    pub services: Slots,
    /// What other hosts were asked.
    pub arrivals: Slots,
}

const MANGLE: i32 = -150;
/// After ports that are published on this host alone.
const DSTNAT: i32 = -90;
/// Before masquerade of what leaves a container's subnet.
const SRCNAT: i32 = 90;
const LAST: i32 = 150;
/// After every check of the way back to a packet's source: iptables' at -150, firewalld's at 10.
const BEFORE_ROUTING: i32 = 300;

const ETHER: u32 = 9;
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;

/// Two hosts' choices have nothing to do with each other, or some containers would never be chosen.
const ASKED: Spread = Spread { slots: SLOTS as u32, seed: 0x6665_7272 };
const SENT_HERE: Spread = Spread { slots: SLOTS as u32, seed: 0x6f63_6e69 };

const DEVICES: &str = "ingress";

pub(super) const HASHES: [Hash; 6] = [
    Hash {
        name: DEVICES,
        keys: keys(NAME, 16),
        mapped: Mapped::Nothing,
        about: "devices between hosts, for ports that every host answers",
        content: |wanted| names(&wanted.ingress.devices),
    },
    Hash {
        name: "entries",
        keys: keys(NAME << 6 | ETHER, 24),
        mapped: Mapped::Value { kind: MARK, length: 4 },
        about: "device . host that may send -> mark of what goes back to it",
        content: |wanted| entries(&wanted.ingress),
    },
    Hash {
        name: "own4",
        keys: keys(IPV4, 4),
        mapped: Mapped::Nothing,
        about: "this host's addresses there",
        content: |wanted| addresses(&wanted.ingress.own, Version::V4),
    },
    Hash {
        name: "own6",
        keys: keys(IPV6, 16),
        mapped: Mapped::Nothing,
        about: "this host's addresses there",
        content: |wanted| addresses(&wanted.ingress.own, Version::V6),
    },
    Hash {
        name: "expected4",
        keys: keys((NAME << 6 | PROTOCOL) << 6 | PORT, 24),
        mapped: Mapped::Nothing,
        about: "device . port that other hosts may send there",
        content: |wanted| expected(&wanted.ingress, true),
    },
    Hash {
        name: "expected6",
        keys: keys((NAME << 6 | PROTOCOL) << 6 | PORT, 24),
        mapped: Mapped::Nothing,
        about: "device . port that other hosts may send there",
        content: |wanted| expected(&wanted.ingress, false),
    },
];

/// A map of slots.
struct SlotMap {
    name: &'static str,
    is_ipv4: bool,
    about: &'static str,
    slots: fn(&Ingress) -> &Slots,
}

const SERVICES: &str = "a port that every host answers . slot -> container, or the host that has one";
const ARRIVALS: &str = "a port that another host was asked . slot -> container";

const SLOT_MAPS: [SlotMap; 4] = [
    SlotMap { name: "services4", is_ipv4: true, about: SERVICES, slots: |wanted| &wanted.services },
    SlotMap { name: "services6", is_ipv4: false, about: SERVICES, slots: |wanted| &wanted.services },
    SlotMap { name: "arrivals4", is_ipv4: true, about: ARRIVALS, slots: |wanted| &wanted.arrivals },
    SlotMap { name: "arrivals6", is_ipv4: false, about: ARRIVALS, slots: |wanted| &wanted.arrivals },
];

const SLOT_KEYS: Keys = keys((PROTOCOL << 6 | PORT) << 6 | MARK, 12);

fn entries(wanted: &Ingress) -> Content {
    let key = |device: &str, mac: &Mac| [&interface_name(device)[..], &mac.0, &[0; 2]].concat();
    let all = wanted.entries.iter();
    all.map(|((device, mac), mark)| (key(device, mac), Some(mark.to_ne_bytes().to_vec()))).collect()
}

fn expected(wanted: &Ingress, ipv4: bool) -> Content {
    let of_family = wanted.expected.iter().filter(|(.., is_ipv4)| *is_ipv4 == ipv4);
    let key = |device: &str, protocol, port| [&interface_name(device)[..], &port_key(protocol, port)].concat();
    of_family.map(|(device, protocol, port, _)| (key(device, *protocol, *port), None)).collect()
}

/// Each field is padded to four bytes.
fn port_key(protocol: Protocol, port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [protocol.number(), 0, 0, 0, high, low, 0, 0]
}

impl SlotMap {
    fn mapped(&self) -> Mapped {
        if self.is_ipv4 {
            Mapped::Value { kind: IPV4 << 6 | PORT, length: 8 }
        } else {
            Mapped::Value { kind: IPV6 << 6 | PORT, length: 20 }
        }
    }

    fn content(&self, wanted: &Ingress) -> Content {
        let of_family = (self.slots)(wanted).iter().filter(|((.., is_ipv4), _)| *is_ipv4 == self.is_ipv4);
        of_family.flat_map(|((protocol, port, _), slots)| elements(*protocol, *port, slots)).collect()
    }

    /// What is another than before, without a look at ports that have stayed the same.
    fn differences(&self, current: &Ingress, wanted: &Ingress) -> (Content, Content) {
        let (current, wanted) = ((self.slots)(current), (self.slots)(wanted));
        let other = |these: &Slots, those: &Slots| -> Content {
            let differ = these.iter().filter(|(key, slots)| key.2 == self.is_ipv4 && those.get(key) != Some(slots));
            differ.flat_map(|((protocol, port, _), slots)| elements(*protocol, *port, slots)).collect()
        };
        (other(current, wanted), other(wanted, current))
    }
}

fn elements(protocol: Protocol, port: u16, slots: &[SocketAddr]) -> Content {
    let data = |to: &SocketAddr| [&octets(to.ip())[..], &to.port().to_be_bytes(), &[0; 2]].concat();
    (0..).zip(slots).map(|(slot, to)| (slot_key(protocol, port, slot), Some(data(to)))).collect()
}

fn slot_key(protocol: Protocol, port: u16, slot: u32) -> Vec<u8> {
    [&port_key(protocol, port)[..], &slot.to_ne_bytes()].concat()
}

/// In the order in which they can be made: what is jumped to comes first.
pub(super) fn chains() -> Vec<Chain> {
    let base = |kind, number, priority| Some(Hook { kind, number, priority });
    vec![
        Chain::new("entering", None).rule(|rule| rule.mark_by_iifname_and_mac("entries").return_()).rule(|rule| {
            rule.counted_drop();
        }),
        Chain::new("remembered", None).rule(|rule| {
            rule.remember_mark(MARK_BITS);
        }),
        Chain::new("entered", None)
            .rule(|rule| rule.is_reply().return_())
            .rule(|rule| rule.ct_state_established_or_related().goto("remembered"))
            .rules(|rule, version| {
                rule.address_in_set(Side::Destination, version, of(version, "own4", "own6"));
                rule.iifname_and_port_in(version, of(version, "expected4", "expected6")).goto("remembered");
            })
            .rule(|rule| {
                rule.counted_drop();
            }),
        Chain::new("let_in", base("filter", PREROUTING, MANGLE))
            .rule(|rule| rule.interface_in(Interface::In, DEVICES).goto("entered")),
        Chain::new("cleared", None).rule(|rule| rule.clear_mark(MARK_BITS)),
        Chain::new("way_back", base("filter", PREROUTING, BEFORE_ROUTING))
            .rule(|rule| rule.interface_in(Interface::In, DEVICES).goto("cleared"))
            .rules(|rule, version| {
                rule.is_reply().first_sent_to(version, of(version, "own4", "own6")).recall_mark(MARK_BITS);
            }),
        Chain::new("services", None).rule(|rule| rule.add_mark(FOR_THIS_HOST)).rules(|rule, version| {
            rule.dnat_by_port_and_slot(version, ASKED, of(version, "services4", "services6"));
        }),
        Chain::new("arrivals", None).rules(|rule, version| {
            rule.dnat_by_port_and_slot(version, SENT_HERE, of(version, "arrivals4", "arrivals6"));
        }),
        Chain::new("asked", base("nat", PREROUTING, DSTNAT))
            .rule(|rule| rule.interface_in(Interface::In, DEVICES).goto("arrivals"))
            .rule(|rule| rule.destination_is_local().jump("services")),
        Chain::new("asked_here", base("nat", OUTPUT, DSTNAT))
            .rule(|rule| rule.address_in(Side::Destination, LOOPBACK4).return_())
            .rule(|rule| rule.address_in(Side::Destination, LOOPBACK6).return_())
            .rule(|rule| rule.destination_is_local().jump("services")),
        Chain::new("own_source", base("nat", POSTROUTING, SRCNAT))
            .rules(|rule, version| {
                rule.interface_in(Interface::Out, DEVICES);
                rule.address_in_set(Side::Source, version, of(version, "peers4", "peers6")).masquerade();
            })
            .rules(|rule, version| {
                rule.interface_in(Interface::Out, DEVICES);
                rule.address_in_set(Side::Source, version, of(version, "subnets4", "subnets6")).masquerade();
            })
            .rules(|rule, version| {
                rule.has_mark(FOR_THIS_HOST).ct_status_dnat();
                rule.addresses_in_set(version, of(version, "within4", "within6")).masquerade();
            }),
        Chain::new("leaving", base("filter", POSTROUTING, LAST))
            .rule(|rule| rule.interface_in(Interface::Out, DEVICES).clear_mark(MARK_BITS)),
    ]
}

/// In chain `prerouting`, before connections are tracked.
pub(super) fn in_prerouting(chain: Chain) -> Chain {
    chain.rule(|rule| rule.interface_in(Interface::In, DEVICES).jump("entering"))
}

/// In chain `forward`, before anything is let through: an answer that has no way back must not find another.
pub(super) fn before_forwarding(chain: Chain) -> Chain {
    chain.rules(|rule, version| {
        rule.is_reply().first_sent_to(version, of(version, "own4", "own6"));
        rule.leaves_elsewhere_than(DEVICES).counted_drop();
    })
}

/// In chain `forward`, after what was led somewhere: nothing else leaves by these devices.
pub(super) fn after_published(chain: Chain) -> Chain {
    chain.rule(|rule| rule.interface_in(Interface::Out, DEVICES).counted_drop())
}

pub(super) fn push_slot_maps(batch: &mut Batch, mut number: impl FnMut() -> u32) {
    for map in SLOT_MAPS {
        batch.push(new_set(place(map.name), number(), SLOT_KEYS, map.mapped(), map.about));
    }
}

pub(super) fn push_slots(batch: &mut Batch, current: &Ingress, wanted: &Ingress) {
    for map in SLOT_MAPS {
        let (old, new) = map.differences(current, wanted);
        change(batch, map.name, &old, &new);
    }
}

/// The map for such a port, and the keys of all of its slots there.
pub(super) fn slots_of(asked: Asked, protocol: Protocol, port: u16, ipv4: bool) -> (Place<'static>, Vec<Vec<u8>>) {
    let name = match (asked, ipv4) {
        (Asked::ByClients, true) => "services4",
        (Asked::ByClients, false) => "services6",
        (Asked::ByHosts, true) => "arrivals4",
        (Asked::ByHosts, false) => "arrivals6",
    };
    (place(name), (0..u32::from(SLOTS)).map(|slot| slot_key(protocol, port, slot)).collect())
}

/// Where a slot leads, as its element says.
pub(super) fn target(data: &[u8]) -> Option<SocketAddr> {
    let (address, port) = match data {
        [address @ .., high, low, _, _] => (address, u16::from_be_bytes([*high, *low])),
        _ => return None,
    };
    let address = match address.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    Some((address, port).into())
}

/// The maps with what has to be in them.
pub(super) fn slots(wanted: &Ingress) -> impl Iterator<Item = (&'static str, Content)> {
    SLOT_MAPS.into_iter().map(|map| (map.name, map.content(wanted)))
}
