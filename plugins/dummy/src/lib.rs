#![doc = include_str!("../README.md")]

mod error;
mod interface;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::{Setup, link};
use netlink::{Netns, Socket};
use serde::Deserialize;

pub use error::Error;

/// Gives a container a dummy interface.
#[derive(Debug)]
pub struct Dummy;

/// The plugin has no keys of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Config {}

impl Plugin for Dummy {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "dummy";
    const ABOUT: &'static str = "gives a container a dummy interface";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let ipam = request.network.required_ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;

        let made = interface::create(&mut inside, &netns, request, undo)?;
        let mut result = ipam.allocate(undo)?;

        result.interfaces = vec![link::describe(&made, &request.netns)];
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        let setup = Setup::new(&netns, &request.attachment.ifname, made.index, &result);
        container_interface::configure(&mut inside, &setup, None)?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        request.network.delete_and_release(siblings::ALL, &mut failures, || {
            link::delete(request.netns.as_deref(), &request.attachment, interface::KIND.name())
        });
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        request.network.required_ipam(siblings::ALL)?.forward()?;
        let netns = Netns::open(&request.netns)?;
        let found = container_interface::check(&netns, &request.attachment.ifname, &request.expected)?;
        interface::check(&found, request)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        // The interface goes with the container's namespace, so only the address reservation can be left.
        Ok(request.network.forward_to_ipam(siblings::ALL)?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let ipam = request.network.required_ipam(siblings::ALL)?;
        interface::probe()?;
        Ok(ipam.forward()?)
    }
}
