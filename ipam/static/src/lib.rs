#![doc = include_str!("../README.md")]

mod addresses;
mod config;
mod error;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};

pub use config::Config;
pub use error::Error;

/// The IPAM plugin `static`.
#[derive(Debug, Clone, Copy)]
pub struct Static;

impl Plugin for Static {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "static";
    const ABOUT: &'static str = "gives the addresses that the configuration or the runtime names";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, _: &mut Undo) -> Result<AddResult, Error> {
        let ipam = request.network.config.ipam()?;
        let ips = addresses::of(&request.network)?;
        Ok(AddResult::default().with_ips(ips).with_routes(ipam.routes.clone()).with_dns(ipam.dns.clone()))
    }

    fn del(_: &Del<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let wanted = addresses::of(&request.network)?;
        addresses::compare(&wanted, &request.expected.ips)
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        addresses::of(&request.network).map(drop)
    }
}
