//! `ferrocni overlay`.

mod check;
mod echo;
mod host;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Check),
    #[command(subcommand)]
    Host(host::Command),
}

pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check::run(args),
        Command::Host(command) => host::run(command),
    }
}
