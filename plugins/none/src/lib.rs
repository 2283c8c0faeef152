#![doc = include_str!("../README.md")]

mod alone;
mod error;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::loopback;
use netlink::{Netns, Socket};
use serde::Deserialize;

pub use error::Error;

/// Keeps a container off every network: loopback and nothing else.
#[derive(Debug)]
pub struct NoNetwork;

/// The plugin has no keys of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Config {}

impl Plugin for NoNetwork {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "keeps a container off all networks: it has only loopback";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;
        let lo = alone::loopback(&mut inside)?;
        loopback::set_up(&mut inside, netns, &lo, &request.attachment, undo)?;
        match request.network.prev_result.as_deref() {
            Some(result) => Ok(result.clone()),
            None => Ok(loopback::describe(&mut inside, &lo, &request.netns)?),
        }
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        Ok(loopback::set_down(request.netns.as_deref(), &request.attachment)?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let netns = Netns::open(&request.netns)?;
        let lo = alone::loopback(&mut Socket::open_in(&netns)?)?;
        Ok(loopback::check(&lo)?)
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}
