//! The Go suite's published ports: PREROUTING and OUTPUT send what is for the host itself through
//! `CNI-HOSTPORT-DNAT`, which sends each container's ports to the container's own chain.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnetwork::IpNetwork;

use crate::change::{change, read};
use crate::masquerade::{Owned, collect, forget_entries, list_commented, remove_chain};
use crate::restore::Place;
use crate::saved::Saved;
use crate::{Argument, Chain, Comment, Error, Family, Protocol, Restore, Result, Rule, Table, Variant};

/// How many ports fit one multiport match (`XT_MULTI_PORTS`).
const MULTIPORT: usize = 15;

/// One published port.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// The transport protocol of the published port.
    pub protocol: Protocol,
    /// The address on the host; none or an unspecified one means every address.
    pub host_address: Option<IpAddr>,
    /// The port that clients connect to.
    pub host_port: u16,
    /// The port that the container listens on.
    pub container_port: u16,
}

/// Who marks connections that have to be masqueraded, and who masquerades them.
#[derive(Debug, Clone)]
pub enum Masquerading {
    /// Neither (`snat: false`).
    Off,
    /// Our chains, by this bit of the mark (`markMasqBit`, 0 to 31).
    Bit(u8),
    /// A chain of another program (`externalSetMarkChain`).
    External(Chain),
}

/// The published ports of one container in one network.
#[derive(Debug, Clone)]
pub struct PortMap<'a> {
    /// The network's name, for the chain's name and the rules' comment.
    pub network: &'a str,
    /// The container's id, for the chain's name and the rules' comment.
    pub container: &'a str,
    /// The address to send packets to, with its subnet's prefix length; its family is the rules' family.
    pub address: IpNetwork,
    /// The ports to publish; they need not be of one protocol.
    pub mappings: &'a [Mapping],
    /// The marking of connections to masquerade.
    pub masquerading: Masquerading,
    /// Masquerade every connection instead of those from the container's subnet and from 127.0.0.1.
    pub masquerade_all: bool,
    /// The user's own conditions in iptables' words (`conditionsV4` or `conditionsV6`).
    pub conditions: &'a [Argument],
}

/// Adds the rules, in place of whatever the container had in this network.
///
/// # Errors
/// Those of the program, or [`Error::Invalid`] for names that cannot be in a comment.
pub fn add(ports: &PortMap<'_>, variant: Variant) -> Result<()> {
    let wanted = Wanted::new(ports)?;
    change(Family::of(ports.address.ip()), variant, Table::Nat, |saved, restore| wanted.edit(saved, restore))
}

/// Verifies that every rule is there.
///
/// # Errors
/// [`Error::Missing`] names the first one that is not; otherwise those of the program.
pub fn check(ports: &PortMap<'_>, variant: Variant) -> Result<()> {
    let (wanted, family) = (Wanted::new(ports)?, Family::of(ports.address.ip()));
    let saved = read(family, variant, Table::Nat)?;
    let shared = wanted.shared.iter().find(|shared| !shared.is_in(&saved)).map(|shared| (&shared.chain, &shared.rule));
    match shared.or_else(|| wanted.lacking(&saved)) {
        None => Ok(()),
        Some((chain, rule)) => {
            Err(Error::Missing { family, table: Table::Nat, expected: format!("-A {chain} {rule}") })
        }
    }
}

/// Removes what the container has in this network, in both families, the reference's rules too; nothing is fine.
///
/// # Errors
/// Those of the program.
pub fn remove(network: &str, container: &str) -> Result<()> {
    remove_chain(&Chain::of_attachment("DN-", network, container))
}

/// The containers that have published ports in this network.
///
/// # Errors
/// Those of the program.
pub fn list(network: &str) -> Result<Vec<Owned>> {
    list_commented("dnat ", network)
}

/// Removes the rules of every container of this network that is not in `valid`.
///
/// # Errors
/// Those of the program.
pub fn collect_garbage(network: &str, valid: &[&str]) -> Result<()> {
    collect("DN-", network, valid)
}

/// A rule that all containers share.
struct Shared {
    chain: Chain,
    rule: Rule,
    /// The chain that the rule leads to; any rule that leads there will do, whatever its wording.
    target: Option<Chain>,
    place: Place,
}

impl Shared {
    fn is_in(&self, saved: &Saved) -> bool {
        match &self.target {
            Some(target) => saved.jumps(&self.chain, target),
            None => saved.contains(&self.chain, &self.rule),
        }
    }
}

/// Everything that has to be there.
struct Wanted {
    chain: Chain,
    shared_chains: Vec<Chain>,
    shared: Vec<Shared>,
    rules: Vec<Rule>,
    entries: Vec<Rule>,
    /// With conditions, the saved wording of an entry is not ours to predict.
    conditional: bool,
}

impl Wanted {
    fn new(ports: &PortMap<'_>) -> Result<Self> {
        let chain = Chain::of_attachment("DN-", ports.network, ports.container);
        let comment = Comment::of_attachment("dnat ", ports.network, ports.container)?;
        let mut wanted = Self {
            entries: entries(ports, &chain, &comment),
            rules: ports.mappings.iter().flat_map(|mapping| translation(ports, mapping)).collect(),
            shared_chains: Vec::new(),
            shared: Vec::new(),
            conditional: !ports.conditions.is_empty(),
            chain,
        };
        if let Masquerading::Bit(bit) = ports.masquerading {
            wanted.share_masquerading(bit);
        }
        wanted.share_translation();
        Ok(wanted)
    }

    fn share_masquerading(&mut self, bit: u8) {
        let mask = 1_u32 << (bit & 31);
        let mark = format!("{mask:#x}/{mask:#x}");
        let set = Rule::new().remark("CNI portfwd masquerade mark").words("-j MARK --set-xmark").raw(&mark);
        let obey = Rule::new().words("-m mark --mark").raw(&mark).words("-j MASQUERADE");
        let entry = Rule::new().remark("CNI portfwd requiring masquerade").jump(&masq());
        self.shared_chains.extend([setmark(), masq()]);
        self.shared.push(Shared { chain: setmark(), rule: set, target: None, place: Place::Last });
        self.shared.push(Shared { chain: masq(), rule: obey, target: None, place: Place::Last });
        // First, because the masquerade chains of bridge and ptp accept before it would be reached.
        self.shared.push(Shared {
            chain: Chain::known("POSTROUTING"),
            rule: entry,
            target: Some(masq()),
            place: Place::First,
        });
    }

    fn share_translation(&mut self) {
        self.shared_chains.push(dnat());
        for hook in ["PREROUTING", "OUTPUT"] {
            let rule = Rule::new().words("-m addrtype --dst-type LOCAL").jump(&dnat());
            self.shared.push(Shared { chain: Chain::known(hook), rule, target: Some(dnat()), place: Place::Last });
        }
    }

    fn edit(&self, saved: &Saved, restore: &mut Restore) {
        self.shared_chains.iter().filter(|chain| !saved.has_chain(chain)).for_each(|chain| {
            restore.create_chain(chain);
        });
        self.shared.iter().filter(|shared| !shared.is_in(saved)).for_each(|shared| {
            restore.add(&shared.chain, &shared.rule, shared.place);
        });
        if self.lacking(saved).is_some() {
            forget_entries(saved, restore, &self.chain);
            restore.reset_chain(&self.chain);
            restore.append_all(&self.chain, &self.rules);
            restore.append_all(&dnat(), &self.entries);
        }
    }

    fn lacking<'a>(&'a self, saved: &Saved) -> Option<(&'a Chain, &'a Rule)> {
        let rule = first_missing(&self.rules, &saved.all_of(&self.chain));
        let entry = || match self.conditional {
            true => self.entries.first().filter(|_| !saved.jumps(&dnat(), &self.chain)),
            false => first_missing(&self.entries, &saved.all_of(&dnat())),
        };
        rule.or_else(entry).map(|rule| (&self.chain, rule))
    }
}

fn first_missing<'a>(rules: &'a [Rule], saved: &BTreeSet<Vec<String>>) -> Option<&'a Rule> {
    rules.iter().find(|rule| !saved.contains(rule.as_words()))
}

/// The rules of the shared chain that lead to the container's. Like the Go suite's they name all ports,
/// also those of mappings for the other family: its CHECK looks for exactly these.
fn entries(ports: &PortMap<'_>, chain: &Chain, comment: &Comment) -> Vec<Rule> {
    let mut entries = Vec::new();
    for protocol in [Protocol::Sctp, Protocol::Tcp, Protocol::Udp] {
        let of_protocol = ports.mappings.iter().filter(|mapping| mapping.protocol == protocol);
        let numbers: Vec<String> = of_protocol.map(|mapping| mapping.host_port.to_string()).collect();
        for list in numbers.chunks(MULTIPORT) {
            let rule = Rule::new().words(words(protocol)).comment(comment);
            let rule = rule.words("-m multiport --dports").raw(&list.join(","));
            entries.push(ports.conditions.iter().fold(rule, Rule::argument).jump(chain));
        }
    }
    entries
}

/// The rules for one port: marks first, since translation ends the walk through the chain.
fn translation(ports: &PortMap<'_>, mapping: &Mapping) -> Vec<Rule> {
    let family = Family::of(ports.address.ip());
    let host = mapping.host_address.filter(|address| !address.is_unspecified());
    if mapping.host_address.is_some_and(|address| address.is_ipv4() != ports.address.is_ipv4()) {
        return Vec::new();
    }
    let matching = |from: Option<IpNetwork>| {
        let rule = from.into_iter().fold(Rule::new(), Rule::source);
        let rule = host.map(IpNetwork::from).into_iter().fold(rule, Rule::destination);
        rule.words(port_words(mapping.protocol)).number(mapping.host_port)
    };
    let mut rules = Vec::new();
    if let Some(mark) = ports.masquerading.chain() {
        let subnet = (!ports.masquerade_all).then_some(ports.address);
        rules.push(matching(subnet).jump(&mark));
        if family == Family::V4 && !ports.masquerade_all {
            let localhost = IpNetwork::from(IpAddr::from([127, 0, 0, 1]));
            rules.push(matching(Some(localhost)).jump(&mark));
        }
    }
    let target = SocketAddr::new(ports.address.ip(), mapping.container_port).to_string();
    rules.push(matching(None).words("-j DNAT --to-destination").raw(&target));
    rules
}

impl Masquerading {
    fn chain(&self) -> Option<Chain> {
        match self {
            Self::Off => None,
            Self::Bit(_) => Some(setmark()),
            Self::External(chain) => Some(chain.clone()),
        }
    }
}

fn words(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-p tcp",
        Protocol::Udp => "-p udp",
        Protocol::Sctp => "-p sctp",
    }
}

fn port_words(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-p tcp -m tcp --dport",
        Protocol::Udp => "-p udp -m udp --dport",
        Protocol::Sctp => "-p sctp -m sctp --dport",
    }
}

fn dnat() -> Chain {
    Chain::known("CNI-HOSTPORT-DNAT")
}

fn setmark() -> Chain {
    Chain::known("CNI-HOSTPORT-SETMARK")
}

fn masq() -> Chain {
    Chain::known("CNI-HOSTPORT-MASQ")
}
