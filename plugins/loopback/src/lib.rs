#![doc = include_str!("../README.md")]

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::{Error, loopback};
use netlink::{Netns, Socket};
use serde::Deserialize;

/// Brings a container's loopback interface up.
#[derive(Debug)]
pub struct Loopback;

/// The plugin has no keys of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Config {}

impl Plugin for Loopback {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "loopback";
    const ABOUT: &'static str = "brings a container's loopback interface up";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;
        let lo = inside.link(loopback::NAME)?;
        loopback::set_up(&mut inside, netns, &lo, &request.attachment, undo)?;
        match request.network.prev_result.as_deref() {
            Some(result) => Ok(result.clone()),
            None => loopback::describe(&mut inside, &lo, &request.netns),
        }
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        loopback::set_down(request.netns.as_deref(), &request.attachment)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let netns = Netns::open(&request.netns)?;
        loopback::check(&Socket::open_in(&netns)?.link(loopback::NAME)?)
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}
