#![doc = include_str!("../README.md")]

mod config;
mod elsewhere;
mod error;
mod member;
mod ranges;
mod reservations;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};

pub use config::{Config, ConfigArgs, Ips, wishes};
pub use error::Error;
pub use member::Member;
pub use reservations::{check, collect, release};

/// The IPAM plugin `cluster`.
#[derive(Debug, Clone, Copy)]
pub struct Cluster;

impl Plugin for Cluster {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "cluster";
    const ABOUT: &'static str = "gives addresses of a network over many hosts, from this host's own blocks";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let mut member = Member::join(&config.network(&request.network)?)?;
        let wishes = config.wishes(&request.network.args)?;
        let result = member.allocate(&request.attachment, request.network.version, &wishes, undo)?;
        Ok(result.with_routes(config.routes()))
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        release(&request.network.config.network(&request.network)?, &request.attachment)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let network = request.network.config.network(&request.network)?;
        check(&network, &request.attachment, &request.expected.ips)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        collect(&request.network.config.network(&request.network)?, request)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        Member::probe(&request.network.config.network(&request.network)?)
    }
}
