//! The part of the ruleset that never grows: tables, sets, chains and rules.
//!
//! Why it is as it is:
//! - Packets meet a fixed number of rules and hash lookups, however many containers there are.
//! - `localnet` makes `route_localnet` safe, which publishing on 127.0.0.1 needs: nothing that did not start on `lo`
//!   comes in from or for a loopback address. It sits before connection tracking (priority raw), so it sees
//!   answers to masqueraded connections under the host's address, not under 127.0.0.1.
//! - `answers` marks answers to 127.0.0.1 that are translated back already. Where bridged frames pass the rules (br_netfilter), that is
//!   before a bridge's own filter of loopback addresses sees them, and it lets in what has this mark.
//! - `publish` is entered for the host's own addresses only, and the maps of one address come before those
//!   of every address, as a socket bound to an address comes before one bound to all.
//! - `publish` marks what it sees, by the bit that the reference uses for the same purpose, and `postrouting` masquerades
//!   on the way to published ports only what is marked: a connection to a service address that another program
//!   (kube-proxy) led to the same container keeps its source. Both chains see a connection's first packet only.
//! - Connections to 127.0.0.1 need `route_localnet` on the interface to the container. Those to ::1 are
//!   translated and masqueraded all the same, but the answers are only let in again where the host has
//!   `local ::1/128 dev <bridge>` in its local routing table (at a higher metric than lo's), because the kernel
//!   looks ::1 up strictly by interface, and where bridged IPv6 frames do not pass iptables
//!   (`net.bridge.bridge-nf-call-ip6tables`), which would show ::1 to the check that frames from a network
//!   must not carry it.
//! - `forward` never accepts for others: `member` ends in the chain's policy, and chains of other tables are
//!   asked regardless.
//! - `unpublished` drops what other machines send to a container's own address. Where a packet comes from is told by the link by which
//!   it comes in, since a neighbour can write any source address. What never left a link (`own_link`) includes what is bridged: in a
//!   VLAN of a bridge br_netfilter shows it under the bridge's name. Only packets to containers in `closed` come here.
//! - `admin` is the administrator's: nothing here ever changes a rule in it.

use nfnetlink::Message;

use super::chains::{LOOPBACK4, MASQUERADE_PUBLISHED};
use super::sets::{self, Set};
use super::{BRIDGE, INET};
use crate::Error;
use crate::expression::{Expressions, Interface, Side, Version};
use crate::object::{Hook, Table, del_chain, del_rules, new_chain, new_rule, new_set, new_table};
use crate::uapi::hook::{FORWARD, OUTPUT, POSTROUTING, PREROUTING};

/// How the tables' comments begin.
pub(super) const OURS: &str = suite::PREFIX;
const ABOUT_INET: &str =
    "ferrocni: published ports, masquerade and firewall of containers; put your own rules into chain admin";
const ABOUT_BRIDGE: &str = "ferrocni: MAC address checks and isolation of bridge ports";

/// The number of the tables' layout. It grows with every change of a rule, chain or set below or in [`OnDemand`]: a table with
/// another number, which an earlier version made, is made anew around its elements by the next ADD. The kernel changes neither
/// a chain's hook nor a set's type: what gets another one needs another name.
///
/// [`OnDemand`]: super::chains::OnDemand
pub(crate) const LAYOUT: u32 = 5;
/// The first layout that is told by a chain.
const FIRST_MARKED: u32 = 2;
const MARKER: &str = "layout-";

/// The name of the chain, without rules, that tells a table's layout. A table's own comment cannot be changed.
pub(super) fn marker(layout: u32) -> String {
    format!("{MARKER}{layout}")
}

/// The inverse of [`marker`]; `None` for any other chain.
pub(super) fn layout_in(chain: &str) -> Option<u32> {
    chain.strip_prefix(MARKER)?.parse().ok()
}

/// The bit of the packet mark that says "sent to an address of this host": 13, the reference's `markMasqBit`.
pub(crate) const FOR_THIS_HOST: u32 = 1 << 13;

/// The packet mark of answers to connections from the host's loopback addresses: 127.0.0.0/8 in bytes.
pub const LOOPBACK_ANSWER: u32 = 0x7f00_0008;

pub(super) const RAW: i32 = -300;
pub(super) const DSTNAT: i32 = -100;
/// Once destinations are translated.
pub(super) const AFTER_DSTNAT: i32 = DSTNAT + 1;
pub(super) const FILTER: i32 = 0;
pub(super) const SRCNAT: i32 = 100;
/// As early in a bridge as raw in IP: before connection tracking of bridged packets.
pub(super) const BRIDGE_RAW: i32 = -300;
/// `NF_BR_PRI_FILTER_BRIDGED`.
pub(super) const BRIDGE_FILTER: i32 = -200;

/// The chain that lets no loopback address in from a network.
pub(super) const LOCALNET: &str = "localnet";

/// A chain of the skeleton.
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Message>,
}

/// Collects a table's chains, each with its rules.
struct Chains {
    table: Table<'static>,
    all: Vec<Chain>,
}

impl Chains {
    fn base(&mut self, name: &'static str, kind: &'static str, number: u32, priority: i32) -> &mut Self {
        self.all.push(Chain { name, hook: Some(Hook { kind, number, priority }), rules: Vec::new() });
        self
    }

    fn chain(&mut self, name: &'static str) -> &mut Self {
        self.all.push(Chain { name, hook: None, rules: Vec::new() });
        self
    }

    /// Appends a rule to the chain begun last.
    fn rule(&mut self, fill: impl FnOnce(&mut Expressions<'_>)) -> &mut Self {
        if let Some(chain) = self.all.last_mut() {
            chain.rules.push(new_rule(self.table, chain.name, fill));
        }
        self
    }

    /// Appends a rule for each version of the Internet protocol.
    fn rules(&mut self, fill: impl Fn(&mut Expressions<'_>, Version)) -> &mut Self {
        for version in Version::BOTH {
            self.rule(|rule| fill(rule, version));
        }
        self
    }
}

/// The chains of one of our tables, in the order in which they are listed.
pub(super) fn chains(table: Table<'static>) -> Vec<Chain> {
    let mut chains = Chains { table, all: Vec::new() };
    if table == BRIDGE {
        bridge(&mut chains);
    } else {
        publishing(&mut chains);
        masquerading(&mut chains);
        filtering(&mut chains);
    }
    chains.all
}

fn publishing(chains: &mut Chains) {
    chains.base(LOCALNET, "filter", PREROUTING, RAW);
    chains.rule(|rule| rule.iifname_not("lo").address_in(Side::Destination, LOOPBACK4).drop());
    chains.rule(|rule| rule.iifname_not("lo").address_in(Side::Source, LOOPBACK4).drop());

    chains.base("prerouting", "nat", PREROUTING, DSTNAT);
    chains.rule(|rule| rule.destination_is_local().jump("publish"));

    chains.base("answers", "filter", PREROUTING, AFTER_DSTNAT);
    chains.rule(|rule| {
        let rule = rule.iifname_not("lo").address_in(Side::Destination, LOOPBACK4).ct_status_dnat();
        rule.set_mark(LOOPBACK_ANSWER);
    });

    chains.base("output", "nat", OUTPUT, DSTNAT);
    chains.rule(|rule| rule.destination_is_local().jump("publish"));

    chains.chain("publish");
    chains.rule(|rule| rule.add_mark(FOR_THIS_HOST));
    chains.rules(|rule, version| {
        rule.dnat_by_address_and_port(version, sets::published(version, false).name);
    });
    chains.rules(|rule, version| {
        rule.dnat_by_port(version, sets::published(version, true).name);
    });
}

fn masquerading(chains: &mut Chains) {
    chains.base("postrouting", "nat", POSTROUTING, SRCNAT);
    chains.rules(|rule, version| {
        let map = sets::hairpin(version).name;
        rule.has_mark(FOR_THIS_HOST).ct_status_dnat().address_vmap(Side::Destination, version, map);
    });
    chains.rules(|rule, version| {
        rule.address_vmap(Side::Source, version, sets::masquerade(version).name);
    });

    chains.chain(MASQUERADE_PUBLISHED).rule(|rule| {
        rule.masquerade();
    });
}

fn filtering(chains: &mut Chains) {
    chains.base("forward", "filter", FORWARD, FILTER);
    for side in [Side::Source, Side::Destination] {
        chains.rules(|rule, version| rule.address_in_set(side, version, sets::members(version).name).goto("member"));
    }

    chains.chain("member").rule(|rule| rule.jump("admin"));
    chains.rules(|rule, version| {
        rule.address_in_set(Side::Destination, version, sets::closed(version).name).jump("unpublished");
    });
    for side in [Side::Source, Side::Destination] {
        chains.rules(|rule, version| {
            rule.address_vmap(side, version, sets::confined(version).name);
        });
    }
    chains.rule(|rule| rule.interface_in(Interface::In, sets::ISOLATED_BRIDGES.name).jump("isolation"));

    chains.chain("admin");

    unpublished(chains);

    chains.chain("isolation");
    chains.rule(|rule| rule.ct_state_established_or_related().return_());
    chains.rule(|rule| rule.ct_status_dnat().return_());
    chains.rules(|rule, version| {
        rule.address_vmap(Side::Destination, version, sets::isolated(version).name);
    });
}

fn unpublished(chains: &mut Chains) {
    chains.chain("unpublished");
    chains.rule(|rule| rule.ct_state_established_or_related().return_());
    chains.rule(|rule| rule.ct_status_dnat().return_());
    chains.rules(|rule, version| rule.interfaces_and_destination_in(version, sets::own_link(version).name).return_());
    chains.rules(|rule, version| rule.iifname_and_source_in(version, sets::senders(version).name).return_());
    chains.rule(|rule| {
        rule.drop();
    });
}

fn bridge(chains: &mut Chains) {
    chains.base("prerouting", "filter", PREROUTING, BRIDGE_RAW);
    chains.rule(|rule| {
        rule.interface_in(Interface::In, sets::GUARDED_PORTS.name);
        rule.iifname_and_mac_not_in(sets::GUARDED_MACS.name).drop();
    });

    chains.base("forward", "filter", FORWARD, BRIDGE_FILTER);
    chains.rule(|rule| rule.interface_in(Interface::Out, sets::ISOLATED_PORTS.name).drop());
}

/// The message that makes the set of those who wait for this one's keys, if it is not there.
pub(super) fn create_waiting(set: &Set) -> Option<Message> {
    /// Other than those of the sets that the same transaction may make.
    const ID: u32 = 1000;
    set.waiting().map(|set| new_set(set.place(), ID, set.key, set.mapped, set.about))
}

/// Why a table cannot be made: its name may be taken.
pub(super) fn refused(table: Table<'static>, source: nfnetlink::Error) -> Error {
    if source.is_exists() {
        return Error::Foreign { table };
    }
    Error::Netlink { doing: format!("make nftables table {table}"), source }
}

/// The messages that make a table, or that make an existing one whole again: our chains' rules are replaced,
/// missing chains and sets added, and elements and the admin chain kept. Replacing what is not there costs
/// nothing, and so the rules are never there twice, whatever state the table was in.
pub(super) fn create(table: Table<'static>) -> Vec<Message> {
    let mut messages = vec![new_table(table, if table == INET { ABOUT_INET } else { ABOUT_BRIDGE })];
    for (id, set) in (1..).zip(sets::ALL).filter(|(_, set)| set.table == table) {
        messages.push(new_set(set.place(), id, set.key, set.mapped, set.about));
    }
    // Removing what may not be there is an error, unless it is made first.
    messages.extend((FIRST_MARKED..=LAYOUT).map(|layout| new_chain(table, &marker(layout), None)));
    messages.extend((FIRST_MARKED..LAYOUT).map(|layout| del_chain(table, &marker(layout))));
    let chains = chains(table);
    messages.extend(chains.iter().map(|chain| new_chain(table, chain.name, chain.hook)));
    for chain in chains {
        if !chain.rules.is_empty() {
            messages.push(del_rules(table, chain.name));
            messages.extend(chain.rules);
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::chains::OnDemand;

    /// FNV-1a, so that the number is the same wherever the test runs.
    fn fingerprint(messages: &[Message]) -> u64 {
        let bytes = messages.iter().flat_map(Message::attributes);
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// If this fails, what ADD makes has changed: increase [`LAYOUT`], or nodes keep the rules that they have, and write the new
    /// fingerprint here.
    #[test]
    fn a_changed_layout_has_another_number() {
        let on_demand = [
            "masquerade-10.0.0.0/8",
            "masquerade-fd00_1__/64",
            "hairpin-10.0.0.0/8",
            "hairpin-fd00_1__/64",
            "to-br0",
            "snat-10.0.0.0/8-192.0.2.1",
            "snat-fd00_1__/64-2001_db8__1",
            "apart-br0",
            "internal-br0.5",
        ];
        let chains: Vec<_> = on_demand.into_iter().filter_map(OnDemand::named).collect();
        assert_eq!(chains.len(), on_demand.len());
        let chains = chains.iter().flat_map(|chain| chain.create(false));
        let all: Vec<_> = [INET, BRIDGE].into_iter().flat_map(create).chain(chains).collect();
        assert_eq!((LAYOUT, fingerprint(&all)), (5, 9_483_577_491_587_678_819));
    }

    #[test]
    fn a_layout_is_told_by_a_chain_s_name() {
        assert_eq!(layout_in(&marker(LAYOUT)), Some(LAYOUT));
        for name in ["layout-", "layout-x", "localnet", "2"] {
            assert_eq!(layout_in(name), None, "{name}");
        }
    }
}
