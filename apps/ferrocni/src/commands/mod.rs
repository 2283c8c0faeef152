//! The commands, each in a file of its own with its arguments.

mod completion;
mod doctor;
mod events;
mod install;
mod later;
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
use later::Later;

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
    /// Manage networks
    #[command(subcommand)]
    Network(network::Command),
    /// By which names containers find each other
    #[command(subcommand)]
    Names(names::Command),
    /// Look after networks over many hosts
    #[command(subcommand)]
    Overlay(overlay::Command),
    /// Show what hangs together: the host's links, its networks, and the containers on them, whatever runs them
    ///
    /// Containers that share the host's network have no interface of their own and are not seen.
    Topology(Later<topology::Args>),
    /// Put back the packet filter's rules of all attachments, after the ruleset was flushed or the firewall reloaded, and the ways to
    /// the DNS server inside the containers
    ///
    /// The agent of overlay networks puts back what is its own.
    ///
    /// What is in place stays as it is. The attachments are those of every runtime, as far as they are recorded.
    Reload(Later<reload::Args>),
    /// Copy plugins into a folder where runtimes look for them, and keep aside what they replace
    ///
    /// Each file is replaced by a rename, so that a runtime that starts one at that moment gets the old or the new one, never half of
    /// one. What was there before comes back with --undo.
    Install(Later<install::Args>),
    /// Remove what ferrocni has left on this host: systemd units, bridges without containers, loopback access to published ports, its
    /// tables of rules, the DNS server and the records of names
    ///
    /// Other files stay: programs, networks, reservations. The order matters: what lets loopback addresses reach published ports goes
    /// before the rules that keep other machines from using it.
    Uninstall(Later<uninstall::Args>),
    /// Print the completions of a shell, for instance: ferrocni completion bash >/etc/bash_completion.d/ferrocni
    Completion(Later<completion::Args>),
    /// Write the pages of the manual into a folder, for instance: ferrocni man /usr/local/share/man/man1
    Man(Later<man::Args>),
    /// Run a program on networks: with an interface, an address, names and published ports of its own, without image or engine
    ///
    /// The program is the host's, or one of --rootfs. It sees itself and its children only, and its own hosts file, resolv.conf and
    /// hostname. When it ends, everything is undone. Exit status: the program's (128 and the signal's number if one ended it); 126 if it
    /// cannot be executed, 127 if it is not found, 125 if anything else fails.
    Run(Later<Box<run::Args>>),
    /// List the containers of `run`
    ///
    /// Properties to filter by: id, label, name, network.
    #[command(visible_alias = "list")]
    Ps(Later<ps::Args>),
    /// List the published ports of a container, whichever runtime it is of
    Port(Later<port::Args>),
    /// End containers of `run`, and wait until everything is undone
    Stop(Later<stop::Args>),
    /// Show what the program of a `run --detach` has said
    ///
    /// The last 1 to 2 MiB are kept, in memory, as long as the container is there.
    Logs(Later<logs::Args>),
    /// Find what is wrong with networks and containers, and the commands that mend it
    ///
    /// Nothing is changed without --sweep. Exit status: 0 if nothing is wrong, 1 if something is.
    Doctor(Later<doctor::Args>),
    /// Show numbers about networks and containers, for Prometheus
    Metrics(Later<metrics::Args>),
    /// Tell what happens to networks and containers, as it happens
    ///
    /// Each event is a JSON object on a line of its own: time, type (network, container, events), action (created, changed, removed;
    /// attached, changed, detached; overflow), network, container (its id), name, interface, addresses. After an overflow, what has
    /// happened meanwhile is told as far as it can still be seen.
    Events(Later<events::Args>),
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
