#![doc = include_str!("../README.md")]

mod agent;
mod answer;
mod configuration;
mod error;
mod etcd;
mod identity;
mod ingress;
mod joined;
mod kernel;
mod lease;
mod ledger;
mod log;
mod names;
mod ports;
mod publication;
mod server;
mod session;
mod spread;
mod transactions;
mod underlay;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use agent::Agent;
use configuration::Configuration;
pub use error::Error;

/// The agent of networks over many hosts: what etcd says becomes links, routes and rules of this host
#[derive(Debug, Parser)]
#[command(name = "ferrocni-overlay", version)]
struct Arguments {
    /// File with the agent's configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/ferrocni/overlay.json")]
    config: PathBuf,
    /// Remove all that the agent has made on this host, as far as no container needs it, and end
    #[arg(long)]
    clean: bool,
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&log::line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.clean {
        return agent::clean();
    }
    let configuration = Configuration::read(&arguments.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(async { Agent::start(configuration).await?.run().await })
}
