//! `ferrocni network`.

mod connect;
mod create;
mod disconnect;
mod exists;
mod filter;
mod inspect;
mod ls;
mod prune;
mod rm;

pub(crate) use create::create_default;
pub(crate) use filter::Filters;

use std::process::ExitCode;

use clap::Subcommand;

use super::later::Later;
use crate::container;
use crate::failure::Failure;
use crate::host::Host;
use crate::live::Live;
pub(crate) use ls::natural;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a network that every CNI runtime of this host can use
    Create(Later<create::Args>),
    /// List networks: those of every program on this host
    ///
    /// Properties to filter by: dangling, driver, id, label, name, scope, type.
    #[command(visible_alias = "list")]
    Ls(Later<ls::Args>),
    /// Show everything about networks, with the containers on them
    Inspect(Later<inspect::Args>),
    /// Remove networks, with their bridges and what the dead have left on them
    ///
    /// Exit status: 1 if there is no such network, 2 if a container is connected to it.
    #[command(visible_alias = "remove")]
    Rm(Later<rm::Args>),
    /// Remove all networks that were created by a command and to which no container is connected
    Prune(Later<prune::Args>),
    /// Tell by the exit status whether a network exists: 0 if it does, 1 if it does not
    Exists(Later<exists::Args>),
    /// Connect a running container to a network
    ///
    /// It lasts until the container stops, whichever runtime runs it: Podman, containerd, nerdctl, CRI-O, `ferrocni run`, or none.
    Connect(Later<connect::Args>),
    /// Disconnect a container from a network
    ///
    /// What the container's own runtime has connected comes back when the container starts again.
    Disconnect(Later<disconnect::Args>),
}

pub(crate) fn run(host: &Host, command: &Command) -> Result<ExitCode, Failure> {
    if !matches!(command, Command::Create(_) | Command::Exists(_)) {
        container::sweep(host);
    }
    // What cannot be swept now is no reason to do nothing else.
    if let Err(failure) = Live::of(host).sweep() {
        failure.mention();
    }
    match command {
        Command::Create(args) => create::run(host, args),
        Command::Ls(args) => ls::run(host, args),
        Command::Inspect(args) => inspect::run(host, args),
        Command::Rm(args) => rm::run(host, args),
        Command::Prune(args) => prune::run(host, args),
        Command::Exists(args) => exists::run(host, args),
        Command::Connect(args) => connect::run(host, args),
        Command::Disconnect(args) => disconnect::run(host, args),
    }
}
