#![doc = include_str!("../README.md")]

mod config;
mod error;
mod link;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::Setup;
use netlink::{Netns, Socket};

pub use config::Config;
pub use error::Error;

/// Connects containers to a network of the host by macvlan links.
#[derive(Debug)]
pub struct Macvlan;

impl Plugin for Macvlan {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "macvlan";
    const ABOUT: &'static str = "gives containers a MAC address of their own on a network of the host";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let ipam = request.network.ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;

        let link = link::create(&mut inside, &netns, request, undo)?;
        let mut result = match &ipam {
            Some(ipam) => ipam.allocate(undo)?,
            None => AddResult::default(),
        };
        result.interfaces = vec![container_interface::link::describe(&link, &request.netns)];
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        // The reference forgets what the IPAM plugin says.
        if !config.ipam_dns || !config.dns.is_empty() {
            result.dns = config.dns.clone();
        }
        let setup = Setup {
            mac: link.mac,
            detect_duplicates: config.detect_duplicates,
            router_advertisements: config.router_advertisements,
            ..Setup::new(&netns, &request.attachment.ifname, link.index, &result)
        };
        container_interface::configure(&mut inside, &setup, None).map_err(|error| link::explain_up(error, &link))?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        Ok(parent_interface::del(request, siblings::ALL, link::KIND)?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        request.network.forward_to_ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let link = container_interface::check(&netns, &request.attachment.ifname, &request.expected)?;
        link::check(&link, &netns, request)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        Ok(parent_interface::gc(request, siblings::ALL)?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        link::probe(&request.network.config)?;
        Ok(request.network.forward_to_ipam(siblings::ALL)?)
    }
}
