//! Tests of what people start, in throw-away hosts, with the plugins under test.
//!
//! - `ferrocni`: its commands, a module each
//! - `netavark`: what Podman 5 executes

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod ferrocni;
mod netavark;
