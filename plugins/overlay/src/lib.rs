#![doc = include_str!("../README.md")]

mod config;
mod error;
mod filter;
mod ports;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cluster::Member;
use cni_plugin::{Add, AddResult, Attachment, Check, Del, Failures, Gc, Plugin, Route, SpecVersion, Status, Undo};
use container_interface::veth::{self, Options};
use container_interface::{Setup, point_to_point, routed};
use masquerade::{Backend, Rules};
use netlink::{Netns, Socket};
use nftables::{Claim, Element, Part};

pub use config::Config;
pub use error::Error;

/// The container's end in [`AddResult::interfaces`]: after the host's.
const CONTAINER_INTERFACE: usize = 1;

/// The parts of the ruleset that are this plugin's.
const PARTS: &[Part] = &[Part::Masquerade];

/// Connects containers to a network over many hosts.
#[derive(Debug)]
pub struct Overlay;

impl Plugin for Overlay {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "overlay";
    const ABOUT: &'static str = "connects containers to a network over many hosts";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let (network, config) = (&request.network, &request.network.config);
        let mut member = Member::join(&config.network(network))?;
        let wishes = config.wishes(&network.args)?;
        let netns = Netns::open(&request.netns)?;
        let mut host = Socket::open()?;

        let options = Options::new(Some(config.mtu(member.state().mtu)))?;
        let pair = veth::create(&mut host, &netns, request, &options, undo)?;
        let allocate = |undo: &mut Undo| member.allocate(&request.attachment, network.version, &wishes, undo);
        let mut result = undo.after_all_else(allocate)?;
        let internal = member.state().network.internal;
        complete(&mut result, config, internal);
        result.interfaces = vec![pair.describe_host_end(), pair.describe_container_end(request)];

        routed::set_up(&mut host, &pair, &result.ips)?;
        rules(config.masquerade(internal), &request.attachment, &result).insert(undo)?;
        let setup = Setup {
            router_advertisements: config.router_advertisements,
            point_to_point: true,
            ..Setup::new(&netns, &request.attachment.ifname, pair.container_index, &result)
        };
        container_interface::configure(&mut Socket::open_in(&netns)?, &setup, Some((&mut host, &pair)))?;
        routed::open(&mut host, &pair, &result.ips)?;
        ports::publish(network, &request.attachment, &result, internal, undo)?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let network = request.network.config.network(&request.network);
        failures.note(ports::retract(&network, &request.attachment));
        // Rules before the address that they are about: once released, another container may get it.
        let known = request.network.prev_result.as_deref().map(|result| elements(&request.attachment, result));
        failures.note(masquerade::remove(&request.attachment, PARTS, known.as_deref()));
        failures.note(veth::delete(request));
        if failures.is_empty() {
            failures.note(cluster::release(&network, &request.attachment));
        }
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let (attachment, config) = (&request.attachment, &request.network.config);
        let ips: Vec<_> = request.expected.ips_of(attachment.ifname.as_str()).cloned().collect();
        cluster::check(&config.network(&request.network), attachment, &ips)?;

        // The result lists the routes to elsewhere; those that make the link what it is are there as well.
        let mut expected = (*request.expected).clone();
        expected.routes.extend(point_to_point::routes(&ips));
        let netns = Netns::open(&request.netns)?;
        let inside = container_interface::check(&netns, &attachment.ifname, &expected)?;
        let mut host = Socket::open()?;
        let end = veth::check_host_end(&mut host, &inside, &netns, attachment)?;
        routed::check(&mut host, &end, attachment, &ips)?;
        ports::check(request)?;
        Ok(checked_rules(request).check()?)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        let network = request.network.config.network(&request.network);
        failures.note(ports::collect(&network, request));
        failures.note(masquerade::collect(request, PARTS));
        failures.note(veth::collect(request));
        failures.note(cluster::collect(&network, request));
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        masquerade::probe(config.masquerade(false))?;
        Ok(Member::probe(&config.network(&request.network))?)
    }
}

/// Adds to the addresses what goes with them.
fn complete(result: &mut AddResult, config: &Config, internal: bool) {
    for ip in &mut result.ips {
        ip.interface = Some(CONTAINER_INTERFACE);
    }
    result.routes = if internal { Vec::new() } else { default_routes(result) };
    config.dns.replace(&mut result.dns);
}

/// One for each family of the container's addresses, through its gateway.
fn default_routes(result: &AddResult) -> Vec<Route> {
    let has = |ipv4| result.ips.iter().any(|ip| ip.address.is_ipv4() == ipv4);
    let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let wanted = everywhere.into_iter().filter(|address| has(address.is_ipv4()));
    let to = |address| ipnetwork::IpNetwork::new(address, 0).ok().map(|all| Route::new(all, None));
    wanted.filter_map(to).collect()
}

/// What an attachment with this result has in the packet filter.
fn rules<'a>(masquerade: Option<Backend>, attachment: &'a Attachment, result: &AddResult) -> Rules<'a> {
    let addresses = result.ips_of(attachment.ifname.as_str()).map(|ip| ip.address).collect();
    let link = veth::host_name(attachment);
    Rules { attachment, link, addresses, masquerade, sources: Vec::new(), others: Vec::new() }
}

/// A network without a way out has given no default route.
fn checked_rules(request: &Check<Config>) -> Rules<'_> {
    let internal = !request.expected.routes.iter().any(|route| route.dst.prefix() == 0);
    rules(request.network.config.masquerade(internal), &request.attachment, &request.expected)
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
    Ok(checked_rules(request).restore(claims)?)
}
