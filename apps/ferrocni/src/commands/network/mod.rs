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

use crate::container;
use crate::failure::Failure;
use crate::host::Host;
use crate::live::Live;
pub(crate) use ls::natural;

/// Manage networks
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Inspect(inspect::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Prune(prune::Args),
    Exists(exists::Args),
    Connect(connect::Args),
    Disconnect(disconnect::Args),
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
