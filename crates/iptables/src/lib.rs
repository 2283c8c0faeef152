//! The iptables backend: the Go suite's chains and rules, read with one `iptables-save` and changed with
//! one `iptables-restore --noflush` per family and operation, and a look at the host's own rules without
//! any child process.
//!
//! ferrocni uses nftables by itself. This crate serves configurations that ask for iptables, and hosts
//! whose iptables FORWARD chain would drop what containers send ([`forward_drops`]). Chain names and rule
//! shapes are those of the Go suite, so that either suite can remove what the other one made.
//!
//! # How a change stays idempotent
//! `iptables-restore` has no "add if missing": `-N` refuses a chain that exists, `:CHAIN - [0:0]` flushes
//! it, `-D` refuses a rule that does not exist, and one refusal throws the whole file away. So a change
//! reads the table, works out what is missing, and sends exactly that; nothing missing, nothing sent. Chains
//! that several share are only ever made, never emptied.
//! Between reading and sending it holds a lock (`flock` on a file in `/run`, gone with the process), so that
//! parallel attachments do not both add the shared chains. Other programs
//! do not know that lock: if one of them interferes, the file is refused as a whole, and the change starts
//! again from a new reading.
//!
//! # Which iptables
//! There are two that cannot see each other's rules: iptables-nft and iptables-legacy. Additions go to the
//! `iptables-restore` on PATH like the Go suite's, unless the caller names the other one. Removals go to
//! each one that has the table loaded, so that a switch of the host's alternative strands nothing.

mod argument;
mod change;
pub mod dnsname;
mod error;
pub mod firewall;
pub mod isolation;
mod legacy;
pub mod masquerade;
pub mod portmap;
mod presence;
mod program;
mod restore;
mod rule;
mod saved;
mod sockopt;

pub use argument::{Argument, Chain, Comment, Interface};
pub use error::{Error, Result};
pub use ip::{Family, Protocol};
pub use presence::{admin_rules, forward_drops, forward_drops_the_rest, publishes};
pub use program::{Table, Variant, probe};
pub(crate) use restore::Restore;
pub(crate) use rule::Rule;
