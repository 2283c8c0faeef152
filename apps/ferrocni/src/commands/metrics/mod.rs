//! `ferrocni metrics`.

mod numbers;
mod server;
mod text;

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::commands::doctor::survey::Survey;
use crate::failure::Failure;
use crate::host::Host;
use crate::output::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serve them over HTTP at /metrics, instead of printing them once
    ///
    /// Whoever reaches the address can read the networks' names: 127.0.0.1:9808 is for this host only.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let render = || numbers::render(&Survey::of(host)?);
    match args.listen {
        Some(address) => server::serve(address, render)?,
        None => print(render()?)?,
    }
    Ok(ExitCode::SUCCESS)
}
