//! What the CNI specification demands of every plugin; each test cites its sentence.
//!
//! - `version`: VERSION and the versions it promises

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod version;
