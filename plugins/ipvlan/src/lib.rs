#![doc = include_str!("../README.md")]

mod addresses;
mod config;
mod error;
mod link;
mod port;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::Setup;
use netlink::{Netns, Socket};

pub use config::Config;
pub use error::Error;

/// Connects containers to a network of the host by ipvlan links.
#[derive(Debug)]
pub struct Ipvlan;

impl Plugin for Ipvlan {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "ipvlan";
    const ABOUT: &'static str = "connects containers to a network of the host under the MAC address of its link";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let ipam = addresses::ipam(&request.network)?;
        let netns = Netns::open(&request.netns)?;
        let mut inside = Socket::open_in(&netns)?;

        let link = link::create(&mut inside, &netns, request, undo)?;
        let mut result = match &ipam {
            Some(ipam) => ipam.allocate(undo)?,
            None => request.network.chained_on()?.clone(),
        };
        result.interfaces = vec![container_interface::link::describe(&link, &request.netns)];
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        result.dns = config.dns.clone();
        let setup = Setup {
            ips: &addresses::on_link(&result.ips, config),
            detect_duplicates: config.detect_duplicates(),
            router_advertisements: config.router_advertisements,
            ..Setup::new(&netns, &request.attachment.ifname, link.index, &result)
        };
        container_interface::configure(&mut inside, &setup, None).map_err(addresses::explain)?;
        addresses::tell_of_vain_gateway(&request.network);
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
        let ipam = request.network.ipam(siblings::ALL)?;
        link::probe(&request.network.config, ipam.is_some())?;
        Ok(ipam.map_or(Ok(()), |ipam| ipam.forward())?)
    }
}
