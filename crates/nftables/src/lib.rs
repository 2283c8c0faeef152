//! nftables without nft: an encoder for the few nf_tables messages that ferrocni needs, and [`Ruleset`],
//! ferrocni's own tables.
//!
//! Nothing here runs a program, reads the whole ruleset in the steady state, or touches a table of somebody
//! else's; [`inspect`] looks at other people's chains and changes nothing.

mod connection;
mod error;
mod expression;
pub mod inspect;
mod object;
mod ruleset;
mod uapi;

pub use error::{Error, Result};
pub use object::{Family, Table};
pub use ruleset::{BRIDGE, Difference, Element, Holder, Holding, INET, Part, Protocol, Ruleset};
