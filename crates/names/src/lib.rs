//! The names of containers.
//!
//! Who attaches a container to a network writes a [`Record`] into a file, leads the container's port 53 to the server
//! ([`redirect`]), and then rings at the server's door ([`Server::serve`]), which answers once the names are known. The files are
//! the truth: the server reads them and writes none, and starts from nothing else. [`Elsewhere`] has what is known of containers on
//! other hosts.

mod elsewhere;
mod name;
pub mod process;
mod record;
mod records;
pub mod redirect;
mod server;
pub mod start;
pub mod wire;

pub use elsewhere::{ELSEWHERE, Elsewhere, Known, Peer, Told};
pub use ip::Protocol;
pub use name::{InvalidName, Name};
pub use record::{Host, Link, Listen, Port, Record};
pub use records::{Error, FOLDER, Records};
pub use server::{SOCKET, Server, ServerError};

use std::net::Ipv4Addr;

/// Where containers are answered, in their namespaces.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port that DNS servers are asked on.
pub const PORT: u16 = 53;
