#![doc = include_str!("../README.md")]

mod addresses;
mod check;
mod config;
mod connection;
mod error;
mod lifetime;
mod link;
mod port;
mod rules;
mod uplink;
mod vlan;
mod vlan_gateway;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, Network, Plugin, SpecVersion, Status, Undo};
use container_interface::veth;
use netlink::Socket;
use nftables::Claim;

pub use config::Config;
pub use connection::{Connection, connect};
pub use error::Error;
pub use lifetime::{ensure, remove_unused};

/// Connects containers to a Linux bridge.
#[derive(Debug)]
pub struct Bridge;

impl Plugin for Bridge {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "bridge";
    const ABOUT: &'static str = "connects containers to a Linux bridge";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn validate(network: &Network<Config>) -> Result<(), Error> {
        network.config.validate(network.has_ipam()?)
    }

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let connected = connect(request, undo)?;
        connected.rules(request).insert(undo)?;
        connected.set_up(request)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        // Rules before the address that they are about: once released, another container may get it.
        failures.note(rules::remove(request));
        request.network.delete_and_release(siblings::ALL, &mut failures, || veth::delete(request));
        failures.note(parent_interface::detach(&request.attachment));
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let ipam = request.network.ipam(siblings::ALL)?;
        if let Some(ipam) = &ipam {
            ipam.forward()?;
        }
        check::attachment(request, ipam.is_some())
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        failures.note(rules::collect(request));
        failures.note(veth::collect(request));
        failures.note(parent_interface::detach_stale(|holder| request.is_stale(holder)));
        failures.note(request.network.forward_to_ipam(siblings::ALL));
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let ipam = request.network.ipam(siblings::ALL)?;
        let mut host = Socket::open()?;
        link::probe(&mut host, config)?;
        uplink::probe(&mut host, config)?;
        rules::probe(config)?;
        Ok(ipam.map_or(Ok(()), |ipam| ipam.forward())?)
    }
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables
/// holds is put back.
///
/// # Errors
/// Those of iptables.
pub fn restore(request: &Check<Config>, claims: &mut Vec<Claim>) -> Result<(), Error> {
    rules::restore(request, claims)
}
