//! The command `ferrocni`.
//!
//! - `help`: completions and the manual
//! - `network`: networks are created, shown and removed
//! - `reload`: after a flush everything is as it was
//! - `uninstall`: nothing stays of the suite but files

mod attached;
mod help;
mod network;
mod reload;
mod uninstall;
