//! Tests of what people and init systems start, in throw-away hosts, with the plugins under test.
//!
//! - `ferrocni`: the command, a module for each of its own
//! - `ferrocni_dns`: the server of names
//! - `ferrocni_overlay`: networks over many hosts
//! - `netavark`: what Podman 5 executes

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod ferrocni;
mod ferrocni_dns;
mod ferrocni_overlay;
mod netavark;
