//! nftables without nft: an encoder for the few nf_tables messages that ferrocni needs, and [`Ruleset`],
//! ferrocni's own tables.
//!
//! Nothing here runs a program or reads the whole ruleset in the steady state. [`inspect`] looks at other people's chains and
//! changes nothing; [`mod@reference`] removes the Go suite's rules of containers that go, and no others'.

mod connection;
mod error;
mod expression;
mod forwarding;
pub mod inspect;
mod object;
pub mod overlay;
pub mod redirect;
pub mod reference;
mod ruleset;
mod uapi;
mod watch;

pub use error::{Error, Result};
pub use forwarding::{ForwardChain, Subject};
pub use object::{Family, Table};
pub use ruleset::{
    BRIDGE, Claim, Confinement, Difference, Element, Holder, Holding, INET, LOOPBACK_ANSWER, Part, Protocol, Ruleset,
    bridge_of_vlan,
};
pub use watch::Watch;
