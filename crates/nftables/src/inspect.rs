//! Looking at other people's chains, without ever changing one. Each question of this module costs the same whatever the
//! size of the ruleset: the kernel is asked about one chain by name.

use nfnetlink::Attributes;

use crate::connection::Connection;
use crate::forwarding::end;
use crate::uapi::{data, expression, immediate, rule, target, verdict};
use crate::{Result, Table};

/// What a chain does to a packet that none of its accepting rules matches, as far as its own rules tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// It is a base chain whose policy is to drop.
    pub drops_by_policy: bool,
    /// One of its rules drops or rejects by itself: nft's `drop` and `reject`, or the iptables targets DROP
    /// and REJECT. Chains that it jumps to are not followed.
    pub drops_by_rule: bool,
    /// It drops every packet that no rule of it, or of a chain that it jumps to, has accepted: by its policy, or by a rule without
    /// conditions.
    pub drops_the_rest: bool,
    /// It has at least one rule.
    pub has_rules: bool,
}

impl Chain {
    /// Whether the chain can lose packets in either way.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.drops_by_policy || self.drops_by_rule
    }
}

/// A reader of chains in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Inspector {
    pub(crate) connection: Connection,
}

impl Inspector {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel has no netfilter netlink.
    pub fn open() -> Result<Self> {
        Ok(Self { connection: Connection::open()? })
    }

    /// Whether there is such a table.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn table_exists(&mut self, table: Table<'_>) -> Result<bool> {
        Ok(self.connection.table(table)?.is_some())
    }

    /// Whether `table` has a chain of this name.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses; a missing table is `false`.
    pub fn chain_exists(&mut self, table: Table<'_>, chain: &str) -> Result<bool> {
        Ok(self.connection.chain(table, chain)?.is_some())
    }

    /// What a chain does, or nothing if it does not exist. For iptables-nft's forwarding rules ask for chain
    /// `FORWARD` of table `ip filter` or `ip6 filter`.
    ///
    /// # Errors
    /// [`crate::Error::Netlink`] if the kernel refuses.
    pub fn chain(&mut self, table: Table<'_>, chain: &str) -> Result<Option<Chain>> {
        let Some(state) = self.connection.chain(table, chain)? else {
            return Ok(None);
        };
        let rules = self.connection.rules(table, chain, |attributes| {
            (attributes.inside(rule::EXPRESSIONS).any(|item| drops(item.nested())), end(attributes))
        })?;
        let drops_by_policy = state.policy == Some(verdict::DROP.cast_unsigned());
        let ruled = rules.iter().find_map(|(_, end)| *end);
        Ok(Some(Chain {
            drops_by_policy,
            drops_by_rule: rules.iter().any(|(is_dropping, _)| *is_dropping),
            drops_the_rest: ruled.map_or(drops_by_policy, |verdict| verdict == verdict::DROP),
            has_rules: !rules.is_empty(),
        }))
    }
}

/// Whether an expression ends a packet.
pub(crate) fn drops(attributes: Attributes<'_>) -> bool {
    let inner = attributes.inside(expression::DATA);
    match attributes.find(expression::NAME).and_then(|name| name.text()) {
        Some("reject") => true,
        Some("immediate") => {
            let code = inner.inside(immediate::DATA).inside(data::VERDICT).find(verdict::CODE);
            code.and_then(|code| code.be32()) == Some(verdict::DROP.cast_unsigned())
        }
        Some("target") => {
            matches!(inner.find(target::NAME).and_then(|name| name.text()), Some("DROP" | "REJECT"))
        }
        _ => false,
    }
}
