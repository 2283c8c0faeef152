//! The commands, each in a file of its own with its arguments.

mod completion;
mod doctor;
mod events;
mod install;
mod logs;
mod man;
mod metrics;
mod names;
mod network;
mod overlay;
mod port;
mod ps;
mod reload;
mod run;
mod stop;
mod topology;
mod uninstall;

pub(crate) use run::as_first_process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::host::{Host, Places};

/// Networks of every CNI user of this host: Podman, containerd, nerdctl, CRI-O, Kubernetes, and programs without any of them
#[derive(Debug, Parser)]
#[command(name = "ferrocni", version, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    places: Places,
    /// This process supervises the container of a `run --detach`
    #[arg(long, hide = true)]
    supervisor: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Network(network::Command),
    #[command(subcommand)]
    Names(names::Command),
    #[command(subcommand)]
    Overlay(overlay::Command),
    Topology(topology::Args),
    Reload(reload::Args),
    Install(install::Args),
    Uninstall(uninstall::Args),
    Completion(completion::Args),
    Man(man::Args),
    Run(Box<run::Args>),
    #[command(visible_alias = "list")]
    Ps(ps::Args),
    Port(port::Args),
    Stop(stop::Args),
    Logs(logs::Args),
    Doctor(doctor::Args),
    Metrics(metrics::Args),
    Events(events::Args),
}

pub(crate) fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    let host = Host::new(&cli.places)?;
    match &cli.command {
        Command::Network(command) => network::run(&host, command),
        Command::Names(command) => names::run(&host, command),
        Command::Overlay(command) => overlay::run(command),
        Command::Topology(args) => topology::run(&host, args),
        Command::Reload(args) => reload::run(&host, args),
        Command::Install(args) => install::run(args),
        Command::Uninstall(args) => uninstall::run(&host, args),
        Command::Completion(args) => completion::run(args),
        Command::Man(args) => man::run(args),
        Command::Run(args) => run::run(&host, args, cli.supervisor),
        Command::Ps(args) => ps::run(&host, args),
        Command::Port(args) => port::run(&host, args),
        Command::Stop(args) => stop::run(&host, args),
        Command::Logs(args) => logs::run(&host, args),
        Command::Doctor(args) => doctor::run(&host, args),
        Command::Metrics(args) => metrics::run(&host, args),
        Command::Events(args) => events::run(&host, args),
    }
}
