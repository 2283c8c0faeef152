//! The command `ferrocni`.
//!
//! - `help`: completions and the manual
//! - `network`: networks are created, shown and removed

mod help;
mod network;
