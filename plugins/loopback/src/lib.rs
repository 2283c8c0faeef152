#![doc = include_str!("../README.md")]

use std::path::Path;

use cni_plugin::{Add, AddResult, Check, Code, Del, Gc, Interface, IpConfig, Plugin, SpecVersion, Status, Undo};
use netlink::{Link, LinkChange, Mac, Netns, NetnsError, Socket};
use serde::Deserialize;

const LO: &str = "lo";

/// Brings a container's loopback interface up.
#[derive(Debug)]
pub struct Loopback;

/// The plugin has no keys of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Config {}

/// What can go wrong with a container's `lo`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container's namespace.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The link in it.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// CHECK: somebody set it down.
    #[error("lo in the container is down: expected up, found down")]
    Down,
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Netns(_) => Code::InvalidEnvironment,
            Error::Netlink(_) | Error::Down => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}

impl Plugin for Loopback {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "loopback";
    const ABOUT: &'static str = "brings a container's loopback interface up";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let netns = Netns::open(&request.netns)?;
        let mut socket = Socket::open_in(&netns)?;
        let lo = socket.link(LO)?;
        if !lo.up {
            set(&mut socket, &lo, true)?;
            undo.push("set lo down", move || set(&mut Socket::open_in(&netns)?, &lo, false));
        }
        match &request.network.prev_result {
            Some(result) => Ok(result.clone()),
            None => describe(&mut socket, &request.netns),
        }
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let Some(path) = &request.netns else { return Ok(()) };
        let netns = match Netns::open(path) {
            Err(error) if error.is_gone() => return Ok(()),
            netns => netns?,
        };
        let mut socket = Socket::open_in(&netns)?;
        let lo = socket.link(LO)?;
        set(&mut socket, &lo, false)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let netns = Netns::open(&request.netns)?;
        if Socket::open_in(&netns)?.link(LO)?.up { Ok(()) } else { Err(Error::Down) }
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}

fn set(socket: &mut Socket, lo: &Link, up: bool) -> Result<(), Error> {
    Ok(socket.change_link(lo.index, &LinkChange { up: Some(up), ..LinkChange::default() })?)
}

/// `lo` and its addresses, as the kernel gave them.
fn describe(socket: &mut Socket, sandbox: &Path) -> Result<AddResult, Error> {
    let lo = socket.link(LO)?;
    let interface = Interface {
        name: LO.into(),
        mac: lo.mac.unwrap_or(Mac([0; 6])).to_string(),
        mtu: Some(lo.mtu),
        sandbox: sandbox.display().to_string(),
        ..Interface::default()
    };
    let addresses = socket.addresses(lo.index)?;
    let ips = addresses
        .iter()
        .map(|address| IpConfig { interface: Some(0), address: address.network, gateway: None })
        .collect();
    Ok(AddResult { interfaces: vec![interface], ips, ..AddResult::default() })
}
