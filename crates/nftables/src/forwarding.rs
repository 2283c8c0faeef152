//! What other people's tables do to forwarded packets, for who has to say why one is lost.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use nfnetlink::Attributes;

use crate::inspect::{Inspector, drops};
use crate::object::{Place, read_hook};
use crate::uapi::{chain, data, expression, hook, immediate, rule, verdict};
use crate::{Family, INET, Result, Table};

/// A base chain that all forwarded packets of a family pass. One that drops is enough, whatever the others say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardChain {
    /// Its table's family.
    pub family: Family,
    /// Its table's name.
    pub table: String,
    /// Its name.
    pub name: String,
    /// A packet that no rule is about is dropped: by the policy, or by a rule without conditions.
    pub drops: bool,
}

/// What a rule can be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A link, by its name.
    Link(String),
    /// A subnet.
    Subnet(IpNetwork),
}

impl ForwardChain {
    /// The table that it is in.
    #[must_use]
    pub fn table(&self) -> Table<'_> {
        Table { family: self.family, name: &self.table }
    }
}

impl Inspector {
    /// The base chains that forwarded packets pass, iptables-nft's among them and without ferrocni's own.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn forward_chains(&mut self) -> Result<Vec<ForwardChain>> {
        let mut chains = Vec::new();
        for family in [Family::Inet, Family::Ip, Family::Ip6] {
            let found = self.connection.each_chain(family, |attributes| read(family, attributes))?;
            for (mut chain, policy) in found.into_iter().flatten().filter(|(chain, _)| chain.table() != INET) {
                let (table, name) = (chain.table.clone(), chain.name.clone());
                let rules = self.connection.rules(Table { family, name: &table }, &name, end)?;
                let ruled = rules.into_iter().flatten().next();
                chain.drops = ruled.unwrap_or(policy) == verdict::DROP;
                chains.push(chain);
            }
        }
        Ok(chains)
    }

    /// Whether a rule of the table, or an element of one of its sets, is about one of these. Rules that drop do not count.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn mentions(&mut self, table: Table<'_>, subjects: &[Subject]) -> Result<bool> {
        let words: Vec<_> = subjects.iter().flat_map(Subject::compared).collect();
        let is_about = |bytes: &[u8]| words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word));
        let in_rules = self.connection.each_rule(table, |attributes| {
            let expressions = attributes.find(rule::EXPRESSIONS).map(|found| found.value).unwrap_or_default();
            let dropping = attributes.inside(rule::EXPRESSIONS).any(|item| drops(item.nested()));
            !dropping && is_about(expressions)
        })?;
        if in_rules.contains(&true) {
            return Ok(true);
        }
        for set in self.connection.set_names(table)? {
            let elements = self.connection.elements(Place { table, set: &set })?;
            if elements.iter().any(|element| subjects.iter().any(|subject| element.key.starts_with(&subject.bytes()))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Subject {
    /// As a set has it. A name's end belongs to it, or `br1` would be found in `br10`.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Link(name) => [name.as_bytes(), &[0]].concat(),
            Self::Subnet(subnet) => match subnet.network() {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            },
        }
    }

    /// As rules compare with it: of a subnet whose prefix ends with a byte, programs compare the prefix only. So short a word is
    /// looked for with its attribute's header.
    fn compared(&self) -> Vec<Vec<u8>> {
        let bytes = self.bytes();
        let Self::Subnet(subnet) = self else { return vec![bytes] };
        let attribute = |value: &[u8]| {
            let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
            [&length.to_ne_bytes()[..], &data::VALUE.to_ne_bytes(), value].concat()
        };
        let prefix = usize::from(subnet.prefix());
        let short = (prefix % 8 == 0 && prefix > 0).then(|| attribute(&bytes[..prefix / 8]));
        [attribute(&bytes)].into_iter().chain(short).collect()
    }
}

/// A base chain of that hook with its policy.
fn read(family: Family, attributes: Attributes<'_>) -> Option<(ForwardChain, i32)> {
    let text = |kind| attributes.find(kind)?.text().map(str::to_owned);
    read_hook(attributes).filter(|found| found.number == hook::FORWARD && found.kind == "filter")?;
    let policy = attributes.find(chain::POLICY).and_then(|found| found.be32()).map_or(ACCEPT, u32::cast_signed);
    Some((ForwardChain { family, table: text(chain::TABLE)?, name: text(chain::NAME)?, drops: false }, policy))
}

/// `NF_ACCEPT`.
const ACCEPT: i32 = 1;

/// The verdict of a rule without conditions, behind which no packet comes; nothing for other rules.
pub(crate) fn end(attributes: Attributes<'_>) -> Option<i32> {
    let mut verdict = None;
    for item in attributes.inside(rule::EXPRESSIONS) {
        let name = item.nested().find(expression::NAME).and_then(|name| name.text().map(str::to_owned));
        match name.as_deref() {
            Some("counter" | "log") => {}
            Some("immediate") => verdict = immediate_verdict(item.nested()),
            _ if drops(item.nested()) => verdict = Some(verdict::DROP),
            _ => return None,
        }
    }
    verdict.filter(|code| [ACCEPT, verdict::DROP].contains(code))
}

fn immediate_verdict(attributes: Attributes<'_>) -> Option<i32> {
    let inner = attributes.inside(expression::DATA).inside(immediate::DATA).inside(data::VERDICT);
    inner.find(verdict::CODE)?.be32().map(u32::cast_signed)
}
