#![doc = include_str!("../README.md")]

mod addresses;
mod check;
mod config;
mod error;
mod link;
mod port;
mod rules;
mod uplink;
mod vlan;
mod vlan_gateway;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, Network, Plugin, SpecVersion, Status, Undo};
use container_interface::Setup;
use container_interface::link::describe_on_host;
use container_interface::veth::{self, Pair};
use netlink::{Netns, Socket};
use nftables::Claim;

pub use config::Config;
pub use error::Error;

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
        let config = &request.network.config;
        let ipam = request.network.ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        let mut host = Socket::open()?;

        let bridge = link::ensure(&mut host, config)?;
        let uplink = uplink::connect(&mut host, &bridge, request, undo)?;
        let mtu = config.mtu().or(uplink.map(|uplink| uplink.mtu));
        let pair = port::create(&mut host, &bridge, mtu, &netns, request, undo)?;
        vlan::admit(&mut host, &bridge, pair.host_index, config)?;
        // A bridge that others made may have its hardware address and its MTU from its first port.
        let bridge = pair.master.clone().unwrap_or(bridge);
        let mut result = match &ipam {
            Some(ipam) => ipam.allocate(undo)?,
            None => AddResult::default(),
        };
        result.interfaces =
            vec![describe_on_host(&bridge), pair.describe_host_end(), pair.describe_container_end(request)];
        config.dns.replace(&mut result.dns);
        if ipam.is_some() {
            addresses::complete(&mut result, config);
            let vlan_gateway = vlan_gateway::ensure(&mut host, &bridge, config)?;
            result.interfaces.extend(vlan_gateway.as_ref().map(describe_on_host));
            link::make_gateway(&mut host, vlan_gateway.as_ref().unwrap_or(&bridge), config, &result.ips)?;
        }
        rules::insert(request, &pair, &result, undo)?;
        if !config.disable_container_interface {
            set_up(request, &netns, &pair, &result, &mut host)?;
        }
        Ok(result)
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

fn set_up(
    request: &Add<Config>,
    netns: &Netns,
    pair: &Pair,
    result: &AddResult,
    host: &mut Socket,
) -> Result<(), Error> {
    let setup = Setup {
        mac: Some(pair.container_mac),
        detect_duplicates: request.network.config.enabledad,
        router_advertisements: request.network.config.router_advertisements,
        ..Setup::new(netns, &request.attachment.ifname, pair.container_index, result)
    };
    let mut inside = Socket::open_in(netns)?;
    Ok(container_interface::configure(&mut inside, &setup, Some((host, pair)))?)
}

/// For an attachment whose rules were flushed: what is to come back in ferrocni's ruleset is added to `claims`, and what iptables
/// holds is put back.
///
/// # Errors
/// Those of iptables.
pub fn restore(request: &Check<Config>, claims: &mut Vec<Claim>) -> Result<(), Error> {
    rules::restore(request, claims)
}
