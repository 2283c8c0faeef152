//! The agent `ferrocni-overlay`, with the plugins and the command, on several hosts that share an etcd.
//!
//! - `reach`: containers on different hosts reach each other, and nobody else does

mod reach;
