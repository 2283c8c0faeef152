//! CHECK: the bridge, the host's end, the container's end and the rules, each against what ADD reported.

use cni_plugin::{Check, Difference};
use container_interface::veth;
use netlink::{Link, Netns, Socket};

use crate::{Config, Error, link, rules, uplink, vlan, vlan_gateway};

/// Compares the whole attachment with its result.
pub(crate) fn attachment(request: &Check<Config>, has_ipam: bool) -> Result<(), Error> {
    let netns = Netns::open(&request.netns)?;
    let mut host = Socket::open()?;
    let bridge = existing_bridge(&mut host, request)?;
    uplink::check(&mut host, &bridge, &request.network.config)?;
    if has_ipam {
        let vlan_gateway = vlan_gateway::check(&mut host, &bridge, &request.network.config)?;
        gateway_addresses(&mut host, vlan_gateway.as_ref().unwrap_or(&bridge), request)?;
    }
    let inside = container_end(&netns, request)?;
    host_end(&mut host, &bridge, (&inside, &netns), request)?;
    rules::check(request)
}

fn existing_bridge(host: &mut Socket, request: &Check<Config>) -> Result<Link, Error> {
    let config = &request.network.config;
    let bridge = link::find(host, config)?
        .ok_or_else(|| differs(format!("bridge {}", config.bridge), "a bridge", "no such link"))?;
    if !bridge.up {
        return Err(differs(format!("bridge {}", config.bridge), "up", "down"));
    }
    if config.promisc_mode && !bridge.promiscuous {
        return Err(differs(format!("bridge {}", config.bridge), "promiscuous", "not promiscuous"));
    }
    vlan::require_filtering(&bridge, config)?;
    Ok(bridge)
}

fn gateway_addresses(host: &mut Socket, link: &Link, request: &Check<Config>) -> Result<(), Error> {
    if !request.network.config.is_gateway() {
        return Ok(());
    }
    let ips: Vec<_> = request.expected.ips_of(request.attachment.ifname.as_str()).cloned().collect();
    let found = host.addresses(link.index)?;
    for wanted in link::gateway_addresses(&ips) {
        if !found.iter().any(|address| address.network == wanted) {
            let list: Vec<_> = found.iter().map(|address| address.network.to_string()).collect();
            return Err(differs(format!("gateway address of {}", link.name), &wanted.to_string(), &list.join(", ")));
        }
    }
    Ok(())
}

fn container_end(netns: &Netns, request: &Check<Config>) -> Result<Link, Error> {
    let ifname = &request.attachment.ifname;
    if request.network.config.disable_container_interface {
        container_interface::check_sandbox(netns, ifname, &request.expected)?;
        return Ok(Socket::open_in(netns)?.link(ifname.as_str())?);
    }
    Ok(container_interface::check(netns, ifname, &request.expected)?)
}

/// The host's end, a port of the bridge.
fn host_end(
    host: &mut Socket,
    bridge: &Link,
    (inside, netns): (&Link, &Netns),
    request: &Check<Config>,
) -> Result<(), Error> {
    let end = veth::check_host_end(host, inside, netns, &request.attachment)?;
    if end.master != Some(bridge.index) {
        let expected = format!("a port of {}", bridge.name);
        return Err(veth::host_end_differs(&request.attachment, &end.name, &expected, "not its port").into());
    }
    port_options(&end, &request.network.config)?;
    vlan::of_ports(&request.network.config).map_or(Ok(()), |vlans| vlan::check(host, bridge, &end, &vlans))
}

/// Only what was asked for: a plugin later in the chain may have asked for more.
fn port_options(end: &Link, config: &Config) -> Result<(), Error> {
    let port = end.bridge_port.unwrap_or_default();
    for (option, wanted, found) in
        [("hairpin mode", config.hairpin_mode, port.hairpin), ("isolation", config.port_isolation, port.isolated)]
    {
        if wanted && !found {
            return Err(differs(format!("{option} of bridge port {}", end.name), "on", "off"));
        }
    }
    Ok(())
}

pub(crate) fn differs(what: String, expected: &str, found: &str) -> Error {
    Difference::new(what, expected, found).into()
}
