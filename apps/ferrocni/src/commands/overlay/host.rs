//! The hosts that share an etcd.

use std::process::ExitCode;

use clap::Subcommand;
use overlay::{Agent, KnownHost, Reply, Request};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcomes};
use crate::network::cluster::ClusterError;
use crate::output::{Form, List, print_line};

/// Manage the hosts of overlay networks
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(visible_alias = "list")]
    Ls(Ls),
    #[command(visible_alias = "remove")]
    Rm(Rm),
}

/// List the hosts that share this host's etcd
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
}

/// Forget hosts that are gone for good, and take their blocks of addresses back
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// Id, or name if only one host has it
    #[arg(required = true)]
    hosts: Vec<String>,
}

/// A host that is not known, or not for sure.
#[derive(Debug, thiserror::Error)]
enum HostError {
    #[error("there is no host {0}: `ferrocni overlay host ls` lists them")]
    Unknown(String),
    #[error("more than one host has the name {0}: give the id of one (`ferrocni overlay host ls`)")]
    Ambiguous(String),
}

const LIST: List = List {
    columns: &[("ID", "ID"), ("Name", "NAME"), ("Address", "ADDRESS"), ("State", "STATE"), ("Blocks", "BLOCKS")],
    key: "ID",
};

pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Ls(args) => list(args),
        Command::Rm(args) => remove(args),
    }
}

/// All hosts, as the agent knows them.
pub(super) fn known() -> Result<Vec<KnownHost>, Failure> {
    match Agent::default().ask(&Request::Hosts)? {
        Reply::Hosts(hosts) => Ok(hosts),
        _ => Err(ClusterError::Answer.into()),
    }
}

fn list(args: &Ls) -> Result<ExitCode, Failure> {
    let hosts = known()?;
    let objects: Vec<_> = hosts.iter().map(object).collect();
    LIST.print(&Form::new(args.format.as_deref(), args.quiet), &objects)?;
    Ok(ExitCode::SUCCESS)
}

fn object(known: &KnownHost) -> Value {
    let addresses: Vec<_> = known.host.iter().flat_map(|host| &host.underlay).map(ToString::to_string).collect();
    let state = match (known.here, known.alive) {
        (true, _) => "here",
        (false, true) => "alive",
        (false, false) => "silent",
    };
    json!({
        "ID": known.id,
        "Name": known.host.as_ref().map(|host| host.name.clone()).unwrap_or_default(),
        "Address": addresses.join(","),
        "State": state,
        "Blocks": known.blocks.values().map(Vec::len).sum::<usize>().to_string(),
    })
}

fn remove(args: &Rm) -> Result<ExitCode, Failure> {
    let hosts = known()?;
    let mut outcomes = Outcomes::default();
    for wanted in &args.hosts {
        outcomes.note(remove_one(&hosts, wanted));
    }
    Ok(outcomes.status())
}

fn remove_one(hosts: &[KnownHost], wanted: &str) -> Result<(), Failure> {
    let is_it =
        |known: &&KnownHost| known.id.as_str() == wanted || known.host.as_ref().is_some_and(|host| host.name == wanted);
    let found: Vec<_> = hosts.iter().filter(is_it).collect();
    match found[..] {
        [] => Err(HostError::Unknown(wanted.to_owned()).into()),
        [known] => {
            Agent::default().ask(&Request::RemoveHost(known.id.clone()))?;
            print_line(wanted)
        }
        _ => Err(HostError::Ambiguous(wanted.to_owned()).into()),
    }
}
