use std::process::ExitCode;

use super::ps::sockets;
use crate::attachments::{Connection, Connections};
use crate::container::{Ports, exposed};
use crate::failure::Failure;
use crate::host::Host;
use crate::output::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id or beginning of the id
    container: String,
    /// Only where this port of the container is published
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = exposed)]
    port: Option<(Ports, ip::Protocol)>,
}

/// Nothing to show.
#[derive(Debug, thiserror::Error)]
enum PortError {
    #[error("no container {0} is attached to a network: `ferrocni ps --all-runtimes` lists those that are")]
    Unknown(String),
    #[error("{wanted} is the beginning of more than one container's id: {}", ids.join(", "))]
    Ambiguous { wanted: String, ids: Vec<String> },
    #[error("port {port} of container {container} is not published")]
    Unpublished { port: String, container: String },
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let connections = Connections::of_host(host)?.all;
    let found = find(&connections, &args.container)?;
    let mut lines = Vec::new();
    for port in &found.ports {
        let inside = format!("{}/{}", port.container_port, port.protocol);
        let sockets = sockets(found, port);
        match args.port {
            None => lines.extend(sockets.iter().map(|socket| format!("{inside} -> {socket}\n"))),
            Some((wanted, protocol))
                if wanted.contains(port.container_port) && protocol.to_string() == port.protocol =>
            {
                lines.extend(sockets.iter().map(|socket| format!("{socket}\n")));
            }
            Some(_) => {}
        }
    }
    match args.port {
        Some((ports, protocol)) if lines.is_empty() => {
            let port = format!("{ports}/{protocol}");
            Err(PortError::Unpublished { port, container: args.container.clone() }.into())
        }
        _ => print(lines.concat()).map(|()| ExitCode::SUCCESS),
    }
}

/// Its first attachment: each of them has the same ports.
fn find<'a>(connections: &'a [Connection], wanted: &str) -> Result<&'a Connection, PortError> {
    let id = |connection: &Connection| connection.recorded.endpoint.container.to_string();
    let named = connections.iter().find(|connection| connection.name == wanted || id(connection) == wanted);
    if let Some(connection) = named {
        return Ok(connection);
    }
    let begins = |connection: &&Connection| !wanted.is_empty() && id(connection).starts_with(wanted);
    let found: Vec<_> = connections.iter().filter(begins).collect();
    let mut ids: Vec<_> = found.iter().map(|connection| id(connection)).collect();
    ids.dedup();
    match found[..] {
        [] => Err(PortError::Unknown(wanted.to_owned())),
        [first, ..] if ids.len() == 1 => Ok(first),
        _ => Err(PortError::Ambiguous { wanted: wanted.to_owned(), ids }),
    }
}
