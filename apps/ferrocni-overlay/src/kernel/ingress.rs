//! The ways between hosts for ports that every host answers: a VXLAN device of its own for all plain networks, and one inside of what is
//! encrypted for the others, each with an address, a neighbour and a forwarding entry for every host. A host that is asked need not be in
//! the network for that.
//!
//! What goes back to a host is routed by its mark, in a table of that host's. Packets without a mark are spared the rules of all hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ip::Family;
use ipnetwork::IpNetwork;
use netlink::{LinkKind, MarkAction, MarkRule, Socket, if_found};
use nftables::overlay::{MARK_BITS, mark};
use overlay::ingress::{Number, device, mac_of, vni};
use overlay::{HostId, mtu};

use super::vxlan::{self, Device, Here, Programmed, Wanted};
use super::ways::{self, Back, Entry, PROTOCOL, Way};
use crate::Error;
use crate::view::View;

/// Where routing rules are, before those of the main table.
const SKIP: u32 = 21_420;
const LOOK: u32 = SKIP + 1;
const GO_ON: u32 = SKIP + 2;
/// The routing tables' numbers are from here on: two for each host.
const TABLES: u32 = 142_000;

/// The device's label; no attachment's label has one word only.
fn label(encrypted: bool) -> String {
    format!("{}{}", suite::PREFIX, if encrypted { "ingress-encrypted" } else { "ingress" })
}

fn table_of(number: Number, encrypted: bool) -> u32 {
    TABLES + 2 * u32::from(number.get()) + u32::from(encrypted)
}

/// What is programmed.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    ways: BTreeMap<bool, Programmed>,
    /// It was looked whether an agent before this one has left some.
    has_looked: bool,
    /// Unknown before they were read.
    rules: Option<BTreeSet<MarkRule>>,
}

/// The host that a way is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) here: Here<'a>,
    pub(crate) number: Number,
    pub(crate) encrypted: bool,
    /// The families (`true` for IPv4) that any port has: a host may have no IPv6.
    pub(crate) families: [Option<bool>; 2],
}

impl Own<'_> {
    fn has(&self, address: IpAddr) -> bool {
        self.families.contains(&Some(address.is_ipv4()))
    }
}

/// What a way wants in the kernel, and which hosts it leads to.
pub(crate) fn wanted(own: &Own<'_>, numbers: &BTreeMap<HostId, Number>, view: &View) -> (Wanted, BTreeSet<HostId>) {
    let Own { here, number, encrypted, .. } = *own;
    let local = if encrypted { IpAddr::from(number.address_in_tunnel()) } else { here.local };
    let kind = LinkKind::Vxlan { vni: vni(encrypted).number(), port: here.port, local };
    let device = Device {
        name: device(encrypted).to_owned(),
        label: label(encrypted),
        kind,
        mac: mac_of(here.id, encrypted),
        mtu: room(here.underlay.mtu, &here, encrypted),
    };
    let (mut entries, mut reached) = (BTreeSet::new(), BTreeSet::new());
    entries.extend(subnets(encrypted).filter(|subnet| own.has(subnet.ip())).map(Entry::Unreachable));
    entries.extend(number.addresses(encrypted).into_iter().filter(|address| own.has(*address)).map(Entry::Address));
    for (id, number) in numbers.iter().filter(|(id, _)| *id != here.id) {
        let Some(host) = view.hosts.get(id) else { continue };
        let outer = match (encrypted, &host.wireguard) {
            (false, _) => host.reached_from(here.local),
            (true, Some(_)) => host.reached_from(here.local).map(|_| number.address_in_tunnel().into()),
            (true, None) => None,
        };
        let Some(outer) = outer else { continue };
        let mac = mac_of(id, encrypted);
        let mtu = (host.mtu < here.underlay.mtu).then(|| room(host.mtu, &here, encrypted));
        entries.insert(Entry::Forwarding(mac, outer));
        for address in number.addresses(encrypted).into_iter().filter(|address| own.has(*address)) {
            entries.insert(Entry::Neighbour(address, mac));
            entries.insert(Entry::Route(Way { to: address.into(), via: None, mtu }));
            entries.insert(Entry::Back(Back { table: table_of(*number, encrypted), via: address }));
        }
        reached.insert(id.clone());
    }
    (Wanted::always(device, entries), reached)
}

/// How large packets can be there, over a link that carries so much.
fn room(outer: u32, here: &Here<'_>, encrypted: bool) -> u32 {
    let overhead = if encrypted {
        mtu::wireguard_overhead(here.local) + mtu::vxlan_overhead(Ipv4Addr::UNSPECIFIED.into())
    } else {
        mtu::vxlan_overhead(here.local)
    };
    outer.saturating_sub(overhead)
}

/// Where hosts' addresses are: what is for one that is not there does not leave by the default route.
fn subnets(encrypted: bool) -> impl Iterator<Item = IpNetwork> {
    let any = Number::all().next();
    any.into_iter().flat_map(move |number| number.addresses(encrypted)).map(subnet)
}

/// The same inside of what is encrypted.
pub(super) fn subnet_in_tunnel() -> Option<IpNetwork> {
    Number::all().next().map(|number| subnet(number.address_in_tunnel().into()))
}

fn subnet(address: IpAddr) -> IpNetwork {
    let prefix = if address.is_ipv4() { 24 } else { 80 };
    let network = IpNetwork::new(address, prefix).map(|network| network.network());
    network.and_then(|network| IpNetwork::new(network, prefix)).unwrap_or(address.into())
}

/// The rules by which what is marked goes back, to hosts by these ways.
pub(crate) fn rules(back: &BTreeSet<(Number, bool)>) -> BTreeSet<MarkRule> {
    let mut rules = BTreeSet::new();
    if back.is_empty() {
        return rules;
    }
    for family in Family::ALL {
        let rule = |priority, mark, mask, action| MarkRule { family, priority, mark, mask, action, protocol: PROTOCOL };
        rules.insert(rule(GO_ON, 0, 0, MarkAction::Nothing));
        rules.insert(rule(SKIP, 0, MARK_BITS, MarkAction::Goto(GO_ON)));
        rules.extend(back.iter().map(|(number, encrypted)| {
            let table = MarkAction::Table(table_of(*number, *encrypted));
            rule(LOOK, mark(number.get(), *encrypted), MARK_BITS, table)
        }));
    }
    rules
}

impl Ingress {
    /// Has the kernel have these ways, and no others.
    pub(crate) fn program(&mut self, host: &mut Socket, wanted: BTreeMap<bool, Wanted>) -> Result<(), Error> {
        for encrypted in [false, true].into_iter().filter(|encrypted| !wanted.contains_key(encrypted)) {
            let was_there = self.ways.contains_key(&encrypted);
            if self.has_looked && !was_there {
                continue;
            }
            if vxlan::remove_labelled(host, &label(encrypted), device(encrypted))? || was_there {
                for subnet in subnets(encrypted) {
                    ways::remove_unreachable_to(host, subnet)?;
                }
            }
            self.ways.remove(&encrypted);
        }
        self.has_looked = true;
        for (encrypted, wanted) in wanted {
            let is_new = !self.ways.contains_key(&encrypted);
            let programmed = vxlan::program(host, self.ways.remove(&encrypted), wanted)?;
            self.ways.insert(encrypted, programmed);
            if is_new {
                loosen(device(encrypted))?;
            }
        }
        Ok(())
    }

    /// The unreachable subnets of the ways there are.
    pub(crate) fn subnets(&self) -> BTreeSet<IpNetwork> {
        let entries = self.ways.values().flat_map(|programmed| programmed.wanted.entries());
        entries.filter_map(|entry| if let Entry::Unreachable(subnet) = entry { Some(subnet) } else { None }).collect()
    }

    /// Has the kernel have these rules, and no others of the agent's.
    pub(crate) fn route(&mut self, host: &mut Socket, wanted: BTreeSet<MarkRule>) -> Result<(), Error> {
        let now = match self.rules.take() {
            Some(now) => now,
            None => read_rules(host)?,
        };
        // What rules go on with is there first, and goes last.
        for rule in wanted.difference(&now).collect::<Vec<_>>().into_iter().rev() {
            add(host, rule)?;
        }
        for rule in now.difference(&wanted) {
            if_found(host.batch().delete_mark_rule(rule).send())?;
        }
        self.rules = Some(wanted);
        Ok(())
    }

    /// Puts right what is not as it should be, and says how much that was.
    pub(crate) fn compare(&mut self, host: &mut Socket) -> Result<u64, Error> {
        let mut drift = 0;
        for (encrypted, Programmed { wanted, .. }) in std::mem::take(&mut self.ways) {
            drift += vxlan::differences(host, &wanted)?;
            let programmed = vxlan::program(host, None, wanted)?;
            self.ways.insert(encrypted, programmed);
            loosen(device(encrypted))?;
        }
        if let Some(wanted) = self.rules.take() {
            drift += read_rules(host)?.symmetric_difference(&wanted).count() as u64;
            self.route(host, wanted)?;
        }
        Ok(drift)
    }
}

fn read_rules(host: &mut Socket) -> Result<BTreeSet<MarkRule>, Error> {
    let mut rules = BTreeSet::new();
    for family in Family::ALL {
        match host.mark_rules(family, PROTOCOL) {
            Err(error) if is_without(&error) => {}
            listed => rules.extend(listed?),
        }
    }
    Ok(rules)
}

fn add(host: &mut Socket, rule: &MarkRule) -> Result<(), Error> {
    match host.batch().add_mark_rule(rule).send() {
        Err(error) if error.is_exists() || is_without(&error) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// A host without IPv6 has no rules of it.
fn is_without(error: &netlink::Error) -> bool {
    matches!(error.errno(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EOPNOTSUPP))
}

/// Clients come in there whom the host answers by another link: that is not to be taken for forged (`rp_filter`). The packet filter looks
/// at who sends. Where the host does not check at all, a host without a default route must not begin to.
fn loosen(device: &str) -> Result<(), Error> {
    let checks = sysctl::read(&["ipv4", "conf", "all", "rp_filter"])? != "0";
    sysctl::set_if_different(&["ipv4", "conf", device, "rp_filter"], if checks { "2" } else { "0" })?;
    Ok(())
}
