//! Tests of what people start: the command `ferrocni`, in throw-away hosts, with the plugins under test.
//!
//! - `ferrocni`: its commands, a module each

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod ferrocni;
