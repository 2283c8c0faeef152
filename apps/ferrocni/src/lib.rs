#![doc = include_str!("../README.md")]

mod attachments;
mod commands;
mod container;
mod failure;
mod host;
mod ingress;
mod links;
mod live;
mod network;
mod output;
mod parallel;
mod proc;
mod target;

use std::process::ExitCode;

use clap::Parser as _;

use commands::Cli;

/// What a usage that cannot be parsed ends with, as Docker's and Podman's commands do.
const USAGE: u8 = 125;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(ended) = commands::as_first_process() {
        return ended;
    }
    match Cli::try_parse() {
        Ok(cli) => commands::run(&cli).unwrap_or_else(|failure| failure.report()),
        Err(error) => {
            // What was asked for with --help is no mistake.
            let code = if error.use_stderr() { USAGE } else { 0 };
            // There is nothing left to say it to.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}
