//! Real CNI clients on the tested binaries.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
