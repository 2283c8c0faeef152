#![doc = include_str!("../README.md")]

mod error;
mod namespace;
mod report;

use cni_plugin::{Add, AddResult, Check, Del, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};
use netlink::Socket;
use serde::Deserialize;

pub use error::Error;

/// Lets a container share the host's network.
#[derive(Debug)]
pub struct Host;

/// The plugin has no keys of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Config {}

impl Plugin for Host {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "host";
    const ABOUT: &'static str = "lets a container share the host's network";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;
    const HOST_NETWORK: HostNetwork = HostNetwork::Served;

    fn add(request: &Add<Config>, _: &mut Undo) -> Result<AddResult, Error> {
        namespace::verify(&request.netns)?;
        match request.network.prev_result.as_deref() {
            Some(result) => Ok(result.clone()),
            None => Ok(report::interfaces_and_addresses(&mut Socket::open()?)?),
        }
    }

    fn del(_: &Del<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        namespace::verify(&request.netns)
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}
