//! `ferrocni names`.

mod lookup;
mod ls;

use std::process::ExitCode;

use ::names::{Record, Records};
use clap::Subcommand;
use cni::Attachment;

use crate::attachments::{Connection, Connections};
use crate::failure::Failure;
use crate::host::Host;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Lookup(lookup::Args),
}

pub(crate) fn run(host: &Host, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Ls(args) => ls::run(host, args),
        Command::Lookup(args) => lookup::run(host, args),
    }
}

/// A container on a network with names.
#[derive(Debug)]
struct Named {
    attachment: Attachment,
    record: Record,
    /// What the container is called.
    container: String,
}

/// Those whose containers live, by network and name.
fn all(host: &Host) -> Result<Vec<Named>, Failure> {
    let connections = Connections::of_host(host)?.all;
    let mut all = Vec::new();
    for (attachment, record) in Records::default().list()? {
        if record.namespace.exists()? {
            let container = called(&attachment, &connections);
            all.push(Named { attachment, record, container });
        }
    }
    all.sort_by_cached_key(|named| (named.attachment.network.to_string(), named.container.clone()));
    Ok(all)
}

/// Its id where nobody has recorded it.
fn called(attachment: &Attachment, connections: &[Connection]) -> String {
    let id = attachment.container.as_str();
    let its = connections.iter().find(|connection| connection.recorded.endpoint.container.as_str() == id);
    its.map_or_else(|| id.to_owned(), |connection| connection.name.clone())
}

impl Named {
    fn is_on(&self, network: &str) -> bool {
        super::ps::is_called(self.attachment.network.as_str(), network)
    }
}
