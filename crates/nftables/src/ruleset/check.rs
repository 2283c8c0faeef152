//! Comparing what is there with what has to be.

use std::fmt;

use super::chains::OnDemand;
use super::element::{Element, Entry, describe, entries};
use super::health::{chains_of, tables_of};
use super::queue::Queue;
use super::sets::ISOLATED_BRIDGES;
use super::{INET, Ruleset};
use crate::expression::interface_name;
use crate::{Result, Table};

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The element is not there.
    Absent {
        /// The element that is missing.
        element: Element,
    },
    /// The element's key belongs to another label.
    Foreign {
        /// The element as it should be.
        element: Element,
        /// Whose it is; empty if it has no label.
        holder: String,
    },
    /// The element is there, with other data.
    Changed {
        /// The element as it should be.
        element: Element,
        /// The data that it has instead, in words.
        found: String,
    },
    /// A bridge is not known as an isolated one.
    Bridge {
        /// The bridge's name.
        bridge: String,
    },
    /// A table is not there.
    Table {
        /// The missing table.
        table: Table<'static>,
    },
    /// Packets enter none of a table's chains.
    Dormant {
        /// The table with the flag `dormant`.
        table: Table<'static>,
    },
    /// A table has the layout of an earlier version of ferrocni.
    Layout {
        /// The table of the earlier layout.
        table: Table<'static>,
    },
    /// A chain that the elements need lost rules: it was flushed or deleted.
    Chain {
        /// The table that the chain is in.
        table: Table<'static>,
        /// The chain's name.
        chain: String,
        /// How many rules it has to have at least.
        expected: usize,
        /// How many rules it has, if it is there.
        found: Option<usize>,
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
            Self::Table { table } => write!(formatter, "nftables table {table}: not there"),
            Self::Layout { table } => {
                write!(formatter, "nftables table {table}: made by an earlier version of ferrocni")
            }
            Self::Dormant { table } => write!(formatter, "nftables table {table}: dormant, so that packets pass it by"),
            Self::Chain { table, chain, found: None, .. } => {
                write!(formatter, "nftables chain {table} {chain}: not there")
            }
            Self::Chain { table, chain, expected, found: Some(found) } => {
                write!(formatter, "nftables chain {table} {chain}: expected {expected} rules, found {found}")
            }
        }
    }
}

impl Difference {
    /// The table that lost something.
    pub(super) fn table(&self) -> Option<Table<'static>> {
        match self {
            Self::Table { table } | Self::Dormant { table } | Self::Layout { table } | Self::Chain { table, .. } => {
                Some(*table)
            }
            _ => None,
        }
    }

    /// Whether it is this chain that lost something.
    pub(super) fn is_in_chain(&self, of: Table<'_>, name: &str) -> bool {
        matches!(self, Self::Chain { table, chain, .. } if *table == of && chain == name)
    }

    /// Whether it is this chain that is not there.
    pub(super) fn is_absence_of(&self, of: Table<'_>, name: &str) -> bool {
        matches!(self, Self::Chain { found: None, .. }) && self.is_in_chain(of, name)
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
        let chains = chains_of(&entries);
        let damage = self.damage(&tables_of(&entries), &chains)?.into_iter();
        // The layout before served the container as well, and the next ADD replaces it.
        differences.extend(damage.filter(|difference| !matches!(difference, Difference::Layout { .. })));
        for chain in &chains {
            differences.extend(self.opened(chain)?);
        }
        Ok(differences)
    }

    /// Whether a bridge lost its mark as an isolated one, without which its chain is not asked.
    fn opened(&mut self, chain: &OnDemand) -> Result<Option<Difference>> {
        let OnDemand::ToBridge(bridge) = chain else { return Ok(None) };
        let held = self.connection.element(ISOLATED_BRIDGES.place(), &interface_name(bridge))?;
        Ok(held.is_none().then(|| Difference::Bridge { bridge: bridge.clone() }))
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
