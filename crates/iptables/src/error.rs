//! What can go wrong, with the program's own words or the kernel's errno kept.

use std::io;

use crate::{Family, Table, program};

/// The result of an iptables operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed iptables operation.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// A name that must not reach an iptables rule.
    #[error("{value:?} cannot be {what} in an iptables rule: {reason}")]
    Invalid {
        /// What the value was meant to be.
        what: &'static str,
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The program is nowhere on PATH.
    #[error("{program} is not installed: install the iptables package, or use the nftables backend")]
    NotInstalled { program: &'static str },
    /// The program could not be started or talked to.
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: io::Error,
    },
    /// The program refused.
    #[error("{program} failed{}: {stderr}", quoted(.line))]
    Failed {
        program: String,
        /// The line of its input that it complained about, if it named one.
        line: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// CHECK found a rule or a chain gone.
    #[error("{} table {table} lacks: {expected}", program::name(*family))]
    Missing {
        family: Family,
        table: Table,
        /// The chain or rule, as `iptables-save` would print it.
        expected: String,
    },
    /// The lock that orders changes could not be taken.
    #[error("cannot lock iptables' rules against other changes")]
    Lock(#[source] io::Error),
    /// The kernel's legacy tables could not be read.
    #[error("cannot read the kernel's legacy {} table {table}", program::name(*family))]
    Legacy {
        family: Family,
        table: Table,
        #[source]
        source: io::Error,
    },
    /// The kernel's nf_tables could not be read.
    #[error("cannot read the kernel's nf_tables rules of iptables")]
    Nftables(#[from] nftables::Error),
}

impl Error {
    /// CHECK found something gone, rather than failing itself.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The host has no iptables.
    #[must_use]
    pub fn is_not_installed(&self) -> bool {
        matches!(self, Self::NotInstalled { .. })
    }
}

fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(" at {line:?}") }
}
