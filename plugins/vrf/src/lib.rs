#![doc = include_str!("../README.md")]

mod config;
mod domain;
mod error;
mod member;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};
use netlink::{LinkKind, Netns, Socket};

pub use config::Config;
pub use error::Error;

/// Puts a container's interface into a VRF.
#[derive(Debug)]
pub struct Vrf;

impl Plugin for Vrf {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "vrf";
    const ABOUT: &'static str = "puts a container's interface into a VRF, a routing domain of its own";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::SINCE_0_3_0;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?;
        let config = &request.network.config;
        let mut inside = Socket::open_in(&Netns::open(&request.netns)?)?;
        let vrf = domain::ensure(&mut inside, config, &request.netns, undo)?;
        member::join(&mut inside, &vrf, request, undo)?;
        Ok(result.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let inside = container_interface::link::enter_own(request.netns.as_deref(), &request.attachment)?;
        let Some(mut inside) = inside else { return Ok(()) };
        let left = member::leave(&mut inside, &request.attachment.ifname)?;
        domain::remove_if_empty(&mut inside, &request.network.config, left)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let mut inside = Socket::open_in(&Netns::open(&request.netns)?)?;
        let vrf = domain::find(&mut inside, &request.network.config)?;
        member::check(&mut inside, vrf.as_ref(), request)
    }

    /// The VRF goes with the container's namespace.
    fn gc(_request: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        request.network.config.name()?;
        if Socket::open()?.knows(LinkKind::Vrf { table: 0 })? { Ok(()) } else { Err(Error::Unsupported) }
    }
}
