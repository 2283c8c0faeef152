#![doc = include_str!("../README.md")]

mod check;
mod config;
mod error;

use cni_plugin::{Add, AddResult, Attachment, Check, Del, Failures, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::veth::{self, Options};
use container_interface::{Setup, routed};
use masquerade::Rules;
use netlink::{Netns, Socket};
use nftables::{Claim, Element, Part};

pub use config::Config;
pub use error::Error;

/// The container's end in [`AddResult::interfaces`]: after the host's.
const CONTAINER_INTERFACE: usize = 1;

/// The parts of the ruleset that are this plugin's.
const PARTS: &[Part] = &[Part::Masquerade];

/// Connects containers to the host, each by a link of its own.
#[derive(Debug)]
pub struct Ptp;

impl Plugin for Ptp {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "ptp";
    const ABOUT: &'static str = "connects containers to the host, each by a link of its own";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let config = &request.network.config;
        let ipam = request.network.required_ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let mut host = Socket::open()?;

        let pair = veth::create(&mut host, &netns, request, &Options::new(config.mtu())?, undo)?;
        let mut result = ipam.allocate(undo)?;
        complete(&mut result, config)?;
        result.interfaces = vec![pair.describe_host_end(), pair.describe_container_end(request)];

        routed::set_up(&mut host, &pair, &result.ips)?;
        rules(config, &request.attachment, &result).insert(undo)?;
        let setup = Setup {
            router_advertisements: config.router_advertisements,
            point_to_point: true,
            ..Setup::new(&netns, &request.attachment.ifname, pair.container_index, &result)
        };
        container_interface::configure(&mut Socket::open_in(&netns)?, &setup, Some((&mut host, &pair)))?;
        routed::open(&mut host, &pair, &result.ips)?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        // Rules before the address that they are about: once released, another container may get it.
        let known = request.network.prev_result.as_deref().map(|result| elements(&request.attachment, result));
        failures.note(masquerade::remove(&request.attachment, PARTS, known.as_deref()));
        request.network.delete_and_release(siblings::ALL, &mut failures, || veth::delete(request));
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        request.network.required_ipam(siblings::ALL)?.forward()?;
        check::attachment(request)?;
        Ok(rules(&request.network.config, &request.attachment, &request.expected).check()?)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        failures.note(masquerade::collect(request, PARTS));
        failures.note(veth::collect(request));
        failures.note(request.network.forward_to_ipam(siblings::ALL));
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let ipam = request.network.required_ipam(siblings::ALL)?;
        masquerade::probe(request.network.config.masquerade())?;
        Ok(ipam.forward()?)
    }
}

/// Fills in what the IPAM plugin left to the network, and sees that it gave what the network needs.
fn complete(result: &mut AddResult, config: &Config) -> Result<(), Error> {
    for ip in &mut result.ips {
        ip.interface = Some(CONTAINER_INTERFACE);
        ip.gateway.ok_or(Error::NoGateway { address: ip.address })?;
    }
    config.dns.replace(&mut result.dns);
    Ok(())
}

/// What an attachment with this result has in the packet filter.
fn rules<'a>(config: &Config, attachment: &'a Attachment, result: &AddResult) -> Rules<'a> {
    let addresses = result.ips_of(attachment.ifname.as_str()).map(|ip| ip.address).collect();
    let link = veth::host_name(attachment);
    Rules { attachment, link, addresses, masquerade: config.masquerade(), sources: Vec::new(), others: Vec::new() }
}

/// What it can have there, whatever its configuration was.
fn elements(attachment: &Attachment, result: &AddResult) -> Vec<Element> {
    masquerade::elements(result.ips_of(attachment.ifname.as_str()).map(|ip| ip.address)).collect()
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables
/// holds is put back.
///
/// # Errors
/// Those of iptables.
pub fn restore(request: &Check<Config>, claims: &mut Vec<Claim>) -> Result<(), Error> {
    Ok(rules(&request.network.config, &request.attachment, &request.expected).restore(claims)?)
}
