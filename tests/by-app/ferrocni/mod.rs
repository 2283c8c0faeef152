//! The command `ferrocni`.
//!
//! - `network`: networks are created, shown and removed

mod network;
