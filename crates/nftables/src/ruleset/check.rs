//! Comparing what is there with what has to be.

use std::fmt;

use super::chains::OnDemand;
use super::element::{Element, Entry, describe, entries};
use super::queue::Queue;
use super::sets::ISOLATED_BRIDGES;
use super::skeleton::{self, LOCALNET};
use super::{BRIDGE, INET, Ruleset};
use crate::expression::interface_name;
use crate::{Result, Table};

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The element is not there.
    Absent {
        /// What was expected.
        element: Element,
    },
    /// The element's key belongs to another label.
    Foreign {
        /// What was expected.
        element: Element,
        /// Whose it is; empty if it has no label.
        holder: String,
    },
    /// The element is there, with other data.
    Changed {
        /// What was expected.
        element: Element,
        /// What was found, in words.
        found: String,
    },
    /// A bridge is not known as an isolated one.
    Bridge {
        /// The bridge.
        bridge: String,
    },
    /// A chain that the elements need lost rules: somebody flushed or deleted it.
    Chain {
        /// The table.
        table: Table<'static>,
        /// The chain.
        chain: String,
        /// How many rules it has to have at least.
        expected: usize,
        /// How many rules it has.
        found: usize,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { element } => write!(formatter, "{element}: not in the nftables ruleset"),
            Self::Foreign { element, holder } => write!(formatter, "{element}: held by \"{holder}\""),
            Self::Changed { element, found } => write!(formatter, "{element}: found {found}"),
            Self::Bridge { bridge } => {
                write!(formatter, "bridge {bridge}: not in nftables set {INET} isolated_bridges")
            }
            Self::Chain { table, chain, expected, found } => {
                write!(formatter, "nftables chain {table} {chain}: expected {expected} rules, found {found}")
            }
        }
    }
}

impl Ruleset {
    /// What keeps `elements` from working for `label`: absent, foreign or changed elements, and chains that
    /// lost their rules. [`Ruleset::repair`] puts all but foreign elements right. What `label` waits for because another
    /// has it is as it has to be.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn missing(&mut self, label: &str, elements: &[Element]) -> Result<Vec<Difference>> {
        let entries = entries(label.into(), elements)?;
        let mut differences = Vec::new();
        let keys: Vec<_> = entries.iter().map(|entry| (entry.set, entry.held.key.clone())).collect();
        for (entry, queue) in entries.iter().zip(Queue::read(&mut self.connection, &keys)?) {
            if let Some(element) = elements.get(entry.element) {
                differences.extend(difference(element, entry, &queue));
            }
        }
        self.damage(&entries, &mut differences)?;
        Ok(differences)
    }

    /// Whether the filter stands without which `route_localnet` would let neighbours reach the host's loopback addresses.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn guards_loopback(&mut self) -> Result<bool> {
        let chains = skeleton::chains(INET).into_iter();
        let rules = chains.filter(|chain| chain.name == LOCALNET).map(|chain| chain.rules.len()).sum();
        Ok(self.damaged(INET, LOCALNET, rules)?.is_none())
    }

    /// The chains that `entries` need and that have fewer rules than they were made with.
    fn damage(&mut self, entries: &[Entry], differences: &mut Vec<Difference>) -> Result<()> {
        for table in [INET, BRIDGE] {
            if entries.iter().any(|entry| entry.set.table == table) {
                for chain in skeleton::chains(table) {
                    differences.extend(self.damaged(table, chain.name, chain.rules.len())?);
                }
            }
        }
        let mut seen = Vec::new();
        for chain in entries.iter().filter_map(|entry| entry.chain.as_ref()) {
            if !seen.contains(&chain) {
                seen.push(chain);
                differences.extend(self.damaged(INET, &chain.name(), chain.rules().len())?);
                differences.extend(self.opened(chain)?);
            }
        }
        Ok(())
    }

    /// Whether a bridge lost its mark as an isolated one, without which nobody asks its chain.
    fn opened(&mut self, chain: &OnDemand) -> Result<Option<Difference>> {
        let OnDemand::ToBridge(bridge) = chain else { return Ok(None) };
        let held = self.connection.element(ISOLATED_BRIDGES.place(), &interface_name(bridge))?;
        Ok(held.is_none().then(|| Difference::Bridge { bridge: bridge.clone() }))
    }

    fn damaged(&mut self, table: Table<'static>, chain: &str, expected: usize) -> Result<Option<Difference>> {
        let found = self.connection.rules(table, chain, |_| ())?.len();
        let difference = Difference::Chain { table, chain: chain.to_owned(), expected, found };
        Ok((found < expected).then_some(difference))
    }
}

fn difference(element: &Element, entry: &Entry, queue: &Queue) -> Option<Difference> {
    let element = element.clone();
    let own = queue.all().find(|held| held.label == entry.held.label);
    match (queue.served(), own) {
        (None, _) => Some(Difference::Absent { element }),
        (Some(_), Some(own)) if own.is_like(&entry.held) => None,
        (Some(_), Some(own)) => Some(Difference::Changed { element, found: describe(entry.set, own) }),
        (Some(served), None) => Some(Difference::Foreign { element, holder: served.label.clone() }),
    }
}
