#![doc = include_str!("../README.md")]

mod config;
mod error;
mod link;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::Setup;
use netlink::{Netns, Socket};

pub use config::Config;
pub use error::Error;

/// Gives containers tap interfaces.
#[derive(Debug)]
pub struct Tap;

impl Plugin for Tap {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "tap";
    const ABOUT: &'static str = "gives containers a tap interface, for a virtual machine";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let ipam = request.network.ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;

        let (tap, link) = link::create(&mut inside, &netns, request)?;
        let mut result = match &ipam {
            Some(ipam) => ipam.allocate(undo)?,
            None => AddResult::default(),
        };
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        result.interfaces = vec![container_interface::link::describe(&link, &request.netns)];
        result.dns = request.network.config.dns.clone();
        let setup = Setup::new(&netns, &request.attachment.ifname, link.index, &result);
        container_interface::configure(&mut inside, &setup, None)?;
        container_interface::link::undo_creation(&netns, &request.attachment, undo);
        tap.keep()?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let netns = request.netns.as_deref();
        let delete = || container_interface::link::delete(netns, &request.attachment, link::KIND);
        request.network.delete_and_release(siblings::ALL, &mut failures, delete);
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        request.network.forward_to_ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let link = container_interface::check(&netns, &request.attachment.ifname, &request.expected)?;
        link::check(&link, &netns, request)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        // A tap is in its container, and goes with it.
        Ok(request.network.forward_to_ipam(siblings::ALL)?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        tuntap::probe(config.multi_queue, config.selinux_context().is_some())?;
        Ok(request.network.forward_to_ipam(siblings::ALL)?)
    }
}
