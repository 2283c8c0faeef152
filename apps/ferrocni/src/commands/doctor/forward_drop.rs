//! Who drops what the host forwards for containers?

use ip::Family;
use ipnetwork::IpNetwork;
use nftables::inspect::Inspector;
use nftables::{ForwardChain, Subject, Table};

use super::finding::{Finding, all_of, quote};
use super::forwarding::family_name;
use super::survey::{Known, Survey};
use crate::attachments::Connection;
use crate::failure::Failure;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let drops = Drop::all(survey)?;
    let of_routed = drops.iter().filter(|drop| drop.known.is_routed());
    Ok(of_routed.map(Drop::finding).collect())
}

/// A chain that drops what the containers of a network send.
#[derive(Debug)]
pub(super) struct Drop<'a> {
    pub(super) known: &'a Known,
    pub(super) family: Family,
    chain: ForwardChain,
    by: Firewall,
}

/// Whose chain it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firewall {
    Docker,
    Ufw,
    Firewalld,
    Iptables,
    Other,
}

impl<'a> Drop<'a> {
    /// Of networks with containers. Where rules of the same table are about the network, somebody has thought of it.
    pub(super) fn all(survey: &'a Survey<'_>) -> Result<Vec<Self>, Failure> {
        let mut inspector = match Inspector::open() {
            Err(error) if error.is_unsupported() => return Ok(Vec::new()),
            inspector => inspector?,
        };
        let mut drops = Vec::new();
        for chain in inspector.forward_chains()?.into_iter().filter(|chain| chain.drops) {
            let by = Firewall::of(&mut inspector, &chain)?;
            for known in survey.wanted().filter(|known| !by.is_passed_by(known)) {
                for family in families(survey, known, chain.family) {
                    if !inspector.mentions(chain.table(), &subjects(survey, known, family))? {
                        drops.push(Drop { known, family, chain: chain.clone(), by });
                    }
                }
            }
        }
        Ok(drops)
    }

    fn finding(&self) -> Finding {
        let problem = format!(
            "chain {}{} drops the {} that its containers send",
            self.chain(),
            self.by.name(),
            family_name(self.family)
        );
        let advice = match self.command() {
            None => format!("{problem}: let its addresses through there"),
            Some(_) if self.by.is_iptables() => {
                format!("{problem}: the plugin \"firewall\" in {} would let it through as well", self.known.file())
            }
            Some(_) => problem,
        };
        let finding = Finding::new(format!("network {}", self.known.about.name), advice);
        finding.mended_by(self.command().unwrap_or_default())
    }

    /// The chain, as nft names it.
    pub(super) fn chain(&self) -> String {
        format!("{} {}", self.chain.table(), self.chain.name)
    }

    /// Lets the network's subnets through: what is from there, and what is an answer or for a published port.
    fn command(&self) -> Option<String> {
        let commands: Vec<_> = self.known.subnets(self.family).map(|subnet| self.accept(subnet)).collect();
        match (commands.is_empty(), self.by) {
            (true, _) => None,
            (false, Firewall::Firewalld) => {
                Some(all_of(commands.into_iter().chain(["firewall-cmd --reload".to_owned()])))
            }
            _ => Some(all_of(commands)),
        }
    }

    fn accept(&self, subnet: IpNetwork) -> String {
        const BACK: &str = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";
        let (program, word) = match self.family {
            Family::V4 => ("iptables", "ip"),
            Family::V6 => ("ip6tables", "ip6"),
        };
        let in_iptables =
            |chain| format!("{program} -I {chain} -s {subnet} -j ACCEPT && {program} -I {chain} -d {subnet} {BACK}");
        match self.by {
            Firewall::Docker => in_iptables("DOCKER-USER"),
            Firewall::Iptables => in_iptables("FORWARD"),
            Firewall::Ufw => format!("ufw route allow from {subnet} && ufw route allow to {subnet}"),
            Firewall::Firewalld => format!("firewall-cmd --permanent --zone=trusted --add-source={subnet}"),
            Firewall::Other => {
                let (table, chain) = (quote(&self.chain.table), quote(&self.chain.name));
                let insert = format!("nft insert rule {} {table} {chain} {word}", self.chain.family);
                let back = ["ct state established,related", "ct status dnat"];
                let back = back.map(|which| format!("{insert} daddr {subnet} {which} accept"));
                all_of([format!("{insert} saddr {subnet} accept")].into_iter().chain(back))
            }
        }
    }
}

impl Firewall {
    fn of(inspector: &mut Inspector, chain: &ForwardChain) -> Result<Self, Failure> {
        if chain.table == "firewalld" {
            return Ok(Self::Firewalld);
        }
        if (chain.table.as_str(), chain.name.as_str()) != ("filter", "FORWARD")
            || chain.family == nftables::Family::Inet
        {
            return Ok(Self::Other);
        }
        let table: Table<'_> = chain.table();
        let ufw = if chain.family == nftables::Family::Ip { "ufw-before-forward" } else { "ufw6-before-forward" };
        for (sign, firewall) in [("DOCKER-USER", Self::Docker), (ufw, Self::Ufw)] {
            if inspector.chain_exists(table, sign)? {
                return Ok(firewall);
            }
        }
        Ok(Self::Iptables)
    }

    fn is_iptables(self) -> bool {
        self != Self::Other
    }

    /// The plugin gets containers' traffic past iptables and firewalld, and its CHECK says whether it still does.
    fn is_passed_by(self, known: &Known) -> bool {
        self.is_iptables() && known.has_plugin("firewall")
    }

    fn name(self) -> &'static str {
        match self {
            Self::Docker => " (Docker's)",
            Self::Ufw => " (ufw's)",
            Self::Firewalld => " (firewalld's)",
            Self::Iptables => " (iptables)",
            Self::Other => "",
        }
    }
}

/// What a rule for this network would be about.
fn subjects(survey: &Survey<'_>, known: &Known, family: Family) -> Vec<Subject> {
    let links = survey.living_on(known).flat_map(Connection::host_links);
    let links = links.chain(known.bridge().map(str::to_owned)).map(Subject::Link);
    links.chain(known.subnets(family).map(Subject::Subnet)).collect()
}

/// The families of the network's containers that the chain sees.
fn families(survey: &Survey<'_>, known: &Known, of: nftables::Family) -> Vec<Family> {
    let sees = |family: &Family| match of {
        nftables::Family::Inet => true,
        nftables::Family::Ip => *family == Family::V4,
        nftables::Family::Ip6 => *family == Family::V6,
        nftables::Family::Bridge => false,
    };
    let has = |family: &Family| {
        let mut addresses = survey.living_on(known).flat_map(|connection| &connection.addresses);
        addresses.any(|address| Family::of(address.ip()) == *family)
    };
    Family::ALL.into_iter().filter(sees).filter(has).collect()
}
