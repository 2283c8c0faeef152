//! The commands, each in a file of its own.

mod create;
mod dhcp_proxy;
mod reload;
mod setup;
mod teardown;
mod update;
mod version;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cni_plugin::Undo;
use podman_network::{Driver, Network};
use serde_json::Value;

use crate::arguments::{Arguments, Command};
use crate::error::Error;

pub(crate) use create::CreateError;

/// The most that a request may have, in bytes.
const LIMIT: u64 = 16 << 20;

/// Carries out the command, and says what is to be printed: nothing if it is `null`.
pub(crate) fn run(arguments: &Arguments, undo: &mut Undo) -> Result<Value, Error> {
    match &arguments.command {
        Command::Setup { netns } => setup::run(arguments, netns, &read(arguments)?, undo),
        Command::Teardown { netns } => teardown::run(arguments, netns, &read(arguments)?).map(|()| Value::Null),
        Command::Create => create::run(arguments, &read(arguments)?.value),
        Command::Update { network, network_dns_servers } => {
            let servers: Vec<_> = network_dns_servers.iter().flatten().copied().collect();
            update::run(arguments, network, &servers).map(|()| Value::Null)
        }
        Command::FirewallReload => reload::run(arguments).map(|()| Value::Null),
        Command::FirewalldReload => reload::whenever_firewalld_reloads(arguments),
        Command::DhcpProxy { .. } => dhcp_proxy::run(),
        Command::Version => Ok(version::about(arguments)),
        Command::Info => Ok(version::of_driver()),
    }
}

/// As what this program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Podman's network program.
    NetworkProgram,
    /// One of its drivers, by the name of a link to this program.
    Driver,
}

impl Role {
    /// How the network connects its containers. A driver of another name than ours is a CNI plugin.
    pub(crate) fn driver(self, network: &Network) -> Result<Driver, Error> {
        match network.driver()? {
            Driver::Program(kind) if self == Self::Driver => Ok(Driver::Plugin(kind)),
            driver => Ok(driver),
        }
    }
}

/// What a command reads, and from where.
pub(crate) struct Request {
    pub(crate) value: Value,
    pub(crate) from: String,
}

fn read(arguments: &Arguments) -> Result<Request, Error> {
    if arguments.file == Path::new("-") {
        return parse(std::io::stdin().lock(), "standard input".to_owned());
    }
    let from = arguments.file.display().to_string();
    match File::open(&arguments.file) {
        Ok(file) => parse(file, from),
        Err(source) => Err(Error::Read { from, source }),
    }
}

fn parse(reader: impl Read, from: String) -> Result<Request, Error> {
    let mut bytes = Vec::new();
    if let Err(source) = reader.take(LIMIT + 1).read_to_end(&mut bytes) {
        return Err(Error::Read { from, source });
    }
    if bytes.len() as u64 > LIMIT {
        return Err(Error::Request { from, reason: format!("it is longer than {} MiB", LIMIT >> 20) });
    }
    match serde_json::from_slice(&bytes) {
        Ok(value @ Value::Object(_)) => Ok(Request { value, from }),
        Ok(_) => Err(Error::Request { from, reason: "it is JSON, but not an object".to_owned() }),
        Err(error) => Err(Error::Request { from, reason: error.to_string() }),
    }
}
