//! Tests of what people start: the command `ferrocni`, in throw-away hosts, with the plugins under test.
//!
//! - `ferrocni`: its commands, a module each
//! - `ferrocni_overlay`: networks over many hosts

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod ferrocni;
mod ferrocni_overlay;
