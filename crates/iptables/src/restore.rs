//! The input of one `iptables-restore --noflush`: the changes to one table.

use std::fmt::Write;

use crate::{Chain, Rule, Table};

/// Where a rule goes in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

/// Changes to one table, which happen together or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Restore {
    table: Table,
    lines: String,
}

impl Restore {
    /// No change to `table`.
    #[must_use]
    pub(crate) fn new(table: Table) -> Self {
        Self { table, lines: String::new() }
    }

    /// Makes `chain`; fails if it exists. For chains that others share: [`Restore::reset_chain`] would empty one
    /// that was made since the table was read.
    pub(crate) fn create_chain(&mut self, chain: &Chain) -> &mut Self {
        self.line(format_args!("-N {chain}"))
    }

    /// Makes `chain` exist and be empty, whether it exists or not.
    pub(crate) fn reset_chain(&mut self, chain: &Chain) -> &mut Self {
        self.line(format_args!(":{chain} - [0:0]"))
    }

    /// Removes an empty chain that no rule jumps to; fails if there is none.
    pub(crate) fn delete_chain(&mut self, chain: &Chain) -> &mut Self {
        self.line(format_args!("-X {chain}"))
    }

    /// Adds a rule at the end of `chain`.
    pub(crate) fn append(&mut self, chain: &Chain, rule: &Rule) -> &mut Self {
        self.line(format_args!("-A {chain} {rule}"))
    }

    /// Adds a rule where it belongs in `chain`.
    pub(crate) fn add(&mut self, chain: &Chain, rule: &Rule, place: Place) -> &mut Self {
        match place {
            Place::First => self.prepend(chain, rule),
            Place::Last => self.append(chain, rule),
        }
    }

    /// Adds rules at the end of `chain`, in this order.
    pub(crate) fn append_all(&mut self, chain: &Chain, rules: &[Rule]) {
        for rule in rules {
            self.append(chain, rule);
        }
    }

    /// Adds a rule at the start of `chain`.
    pub(crate) fn prepend(&mut self, chain: &Chain, rule: &Rule) -> &mut Self {
        self.line(format_args!("-I {chain} 1 {rule}"))
    }

    /// Removes the first rule in `chain` that equals `rule`; fails if there is none.
    pub(crate) fn delete(&mut self, chain: &Chain, rule: &Rule) -> &mut Self {
        self.line(format_args!("-D {chain} {rule}"))
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The text for the program's standard input.
    #[must_use]
    pub(crate) fn input(&self) -> String {
        format!("*{}\n{}COMMIT\n", self.table, self.lines)
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> &mut Self {
        let _ = writeln!(self.lines, "{line}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_become_one_file() {
        let chain = Chain::known("CNI-X");
        let mut restore = Restore::new(Table::Nat);
        assert!(restore.is_empty());
        restore.reset_chain(&chain).append(&chain, &Rule::new().words("-j ACCEPT"));
        restore.prepend(&Chain::known("POSTROUTING"), &Rule::new().jump(&chain));
        assert_eq!(restore.input(), "*nat\n:CNI-X - [0:0]\n-A CNI-X -j ACCEPT\n-I POSTROUTING 1 -j CNI-X\nCOMMIT\n");
    }
}
