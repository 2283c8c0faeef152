//! ADD in two halves, for who inserts the rules of several attachments at once between them.

use cni_plugin::{Add, AddResult, Undo};
use container_interface::Setup;
use container_interface::link::describe_on_host;
use container_interface::veth::Pair;
use masquerade::Rules;
use netlink::{Netns, Socket};

use crate::{Config, Error, addresses, link, port, rules, uplink, vlan, vlan_gateway};

/// A container that is connected to its bridge, and whose own interface is still down.
#[derive(Debug)]
pub struct Connection {
    netns: Netns,
    host: Socket,
    pair: Pair,
    result: AddResult,
}

/// The first half of ADD: the bridge, its gateway addresses, the pair and the container's addresses.
///
/// # Errors
/// The step that failed; what was done is for `undo`.
pub fn connect(request: &Add<Config>, undo: &mut Undo) -> Result<Connection, Error> {
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
    result.interfaces = vec![describe_on_host(&bridge), pair.describe_host_end(), pair.describe_container_end(request)];
    config.dns.replace(&mut result.dns);
    if ipam.is_some() {
        addresses::complete(&mut result, config);
        let vlan_gateway = vlan_gateway::ensure(&mut host, &bridge, config)?;
        result.interfaces.extend(vlan_gateway.as_ref().map(describe_on_host));
        link::make_gateway(&mut host, vlan_gateway.as_ref().unwrap_or(&bridge), config, &result.ips)?;
    }
    Ok(Connection { netns, host, pair, result })
}

impl Connection {
    /// What ADD reports.
    #[must_use]
    pub fn result(&self) -> &AddResult {
        &self.result
    }

    /// What the attachment has to have in the packet filter before anything passes.
    #[must_use]
    pub fn rules<'a>(&self, request: &'a Add<Config>) -> Rules<'a> {
        rules::of(request, &self.pair, &self.result)
    }

    /// The second half: the container's interface, unless the network leaves that to the container.
    ///
    /// # Errors
    /// The step that failed; the pair goes with `undo`.
    pub fn set_up(mut self, request: &Add<Config>) -> Result<AddResult, Error> {
        let config = &request.network.config;
        if config.disable_container_interface {
            return Ok(self.result);
        }
        let setup = Setup {
            mac: Some(self.pair.container_mac),
            detect_duplicates: config.enabledad,
            router_advertisements: config.router_advertisements,
            loose_reverse_path: config.loose_reverse_path,
            ..Setup::new(&self.netns, &request.attachment.ifname, self.pair.container_index, &self.result)
        };
        let mut inside = Socket::open_in(&self.netns)?;
        container_interface::configure(&mut inside, &setup, Some((&mut self.host, &self.pair)))?;
        Ok(self.result)
    }
}
