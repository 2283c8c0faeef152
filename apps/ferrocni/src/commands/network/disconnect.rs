use std::process::ExitCode;

use cni::NetworkName;
use cni_runtime::Network;

use crate::attachments::{Connection, Connections};
use crate::failure::Failure;
use crate::host::{Host, LookUpError};
use crate::live::Live;
use crate::target::{Engine, Target};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also if the container's own runtime has connected it
    #[arg(short, long)]
    force: bool,
    /// Name, id or beginning of an id
    network: String,
    /// Container: name, id, beginning of an id, PID (pid:1234), or network namespace (/run/netns/NAME)
    target: String,
}

/// Why a container stays connected.
#[derive(Debug, thiserror::Error)]
enum DisconnectError {
    #[error("{container} is not connected to network {network}")]
    NotConnected { container: String, network: String },
    #[error("{}", foreign(container, network, *engine))]
    Foreign { container: String, network: String, engine: Engine },
}

fn foreign(container: &str, network: &str, engine: Engine) -> String {
    let instead = match engine {
        Engine::Podman => format!("use `podman network disconnect {network} {container}`, or --force"),
        Engine::Nerdctl => "nerdctl has no command to disconnect it; --force does it until it restarts".to_owned(),
        Engine::Cri => "the node's runtime does not expect that; --force does it until the pod is gone".to_owned(),
        _ => "--force disconnects it all the same".to_owned(),
    };
    format!("{container} was connected to network {network} by its own runtime: {instead}")
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let all = Connections::of_host(host)?.all;
    let (name, network) = find(host, &all, &args.network)?;
    let target = Target::find(&all, &args.target)?;
    let live = Live::of(host);
    let _turn = live.take_turn(target.netns.as_deref())?;
    let connections = connections(host, &name, &target)?;
    for connection in &connections {
        if !args.force && !connection.is_live() && connection.engine != Engine::Ferrocni {
            let (container, network, engine) = (target.name, name.to_string(), connection.engine);
            return Err(DisconnectError::Foreign { container, network, engine }.into());
        }
        live.disconnect(connection, network.as_ref())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A network whose file is gone can be disconnected from.
fn find(host: &Host, all: &[Connection], wanted: &str) -> Result<(NetworkName, Option<Network>), Failure> {
    match host.network(wanted) {
        Ok(network) => Ok((network.name().clone(), Some(network))),
        Err(error @ LookUpError::Unknown(_)) => {
            let recorded = all.iter().map(|connection| &connection.recorded.network);
            let name = recorded.into_iter().find(|name| name.as_str() == wanted).ok_or(error)?;
            Ok((name.clone(), None))
        }
        Err(error) => Err(error.into()),
    }
}

/// Read when nobody else changes them any more.
fn connections(host: &Host, network: &NetworkName, target: &Target) -> Result<Vec<Connection>, Failure> {
    let mut connections = Connections::of_network(host, network)?;
    connections.retain(|connection| connection.recorded.endpoint.container == target.container);
    if connections.is_empty() {
        let (container, network) = (target.name.clone(), network.to_string());
        return Err(DisconnectError::NotConnected { container, network }.into());
    }
    Ok(connections)
}
