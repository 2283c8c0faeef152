//! `ferrocni overlay`.

mod host;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Look after networks over many hosts
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(subcommand)]
    Host(host::Command),
}

pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Host(command) => host::run(command),
    }
}
