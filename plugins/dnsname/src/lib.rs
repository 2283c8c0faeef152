#![doc = include_str!("../README.md")]

mod adoption;
mod bundle;
mod check;
mod config;
mod error;
mod identity;
mod loopback;
mod registration;
mod resolver;
mod upstreams;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, HostNetwork, Plugin, SpecVersion, Status, Undo};
use names::Records;
use netlink::Netns;

pub use config::Config;
pub use error::Error;

use identity::Identity;

/// Has containers find each other by name.
#[derive(Debug)]
pub struct Dnsname;

impl Plugin for Dnsname {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "dnsname";
    const ABOUT: &'static str = "has containers find each other by name";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;
    const HOST_NETWORK: HostNetwork = HostNetwork::NothingToDo;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?;
        let identity = Identity::of(&request.network, &request.attachment.container)?;
        let netns = Netns::open(&request.netns)?;
        let config = &request.network.config;
        let mut record = registration::record(config, &request.attachment.ifname, result, identity, &netns)?;
        record.upstreams = upstreams::of(&request.network, result);
        let dns = resolver::with_ours(&result.dns, &record);

        adoption::adopt(&request.network);
        registration::enter(&request.attachment, &netns, &record, undo)?;
        Ok(result.clone().with_dns(dns))
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        adoption::adopt(&request.network);
        registration::leave(&request.attachment, request.netns.as_deref())
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        check::verify(request)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let records = Records::default();
        let recorded = failures.note(records.attachments().map_err(Error::from)).unwrap_or_default();
        for stale in recorded.iter().filter(|attachment| request.is_stale(attachment)) {
            failures.note(registration::leave(stale, None));
        }
        failures.note(records.sweep(|attachment| request.is_stale(attachment)).map_err(Error::from));
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        check::probe(&request.network.config)
    }
}
