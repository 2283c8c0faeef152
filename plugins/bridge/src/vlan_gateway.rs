//! The gateway of a VLAN. The bridge itself is in its default VLAN only, so the host gets a link into another one: a pair,
//! one end of it a port of the bridge. It is shared as the bridge is, made by the first attachment, and stays.

use std::time::Duration;

use cni_plugin::IfName;
use netlink::{Link, LinkChange, Mac, Peer, PortVlans, Socket, Veth};
use parent_interface::VlanId;

use crate::check::differs;
use crate::{Config, Error, port, vlan};

/// How long a new pair may take to carry packets; it is a matter of milliseconds.
const RUNNING_WITHIN: Duration = Duration::from_secs(5);

/// How the aliases of the bridge's ports begin.
const ALIAS: &str = "the host's gateway in VLAN";

/// Whether a link is the bridge's end of such a pair.
pub(crate) fn is_port_of_one(port: &Link) -> bool {
    port.alias.as_deref().is_some_and(|alias| alias.starts_with(ALIAS))
}

/// Name and VLAN of the link; `None` for a network that has no gateway, or no VLAN.
pub(crate) fn of(config: &Config) -> Result<Option<(IfName, VlanId)>, Error> {
    let Some(vlan) = config.vlan.filter(|_| config.is_gateway()) else { return Ok(None) };
    match IfName::new(format!("{}.{vlan}", config.bridge)) {
        Ok(name) => Ok(Some((name, vlan))),
        Err(_too_long) => Err(Error::GatewayNameTooLong { bridge: config.bridge.clone(), vlan }),
    }
}

/// The link, up: found, or made.
pub(crate) fn ensure(host: &mut Socket, bridge: &Link, config: &Config) -> Result<Option<Link>, Error> {
    let Some((name, vlan)) = of(config)? else { return Ok(None) };
    let gateway = match find(host, &name)? {
        Some(gateway) => gateway,
        None => create(host, bridge, &name, vlan)?,
    };
    connect(host, bridge, &gateway, vlan, config)?;
    Ok(Some(gateway))
}

fn find(host: &mut Socket, name: &IfName) -> Result<Option<Link>, Error> {
    Ok(netlink::if_found(host.link(name.as_str()))?)
}

fn create(host: &mut Socket, bridge: &Link, name: &IfName, vlan: VlanId) -> Result<Link, Error> {
    // Both addresses are set, not left to the kernel: udev replaces those that the kernel chose.
    let mac = port::highest(Mac::random()?);
    let [_, _, a, b, c, d] = mac.0;
    let port = format!("veth{a:02x}{b:02x}{c:02x}{d:02x}");
    let peer = Peer { name: name.as_str(), mac: Some(Mac::random()?), mtu: Some(bridge.mtu), netns: None };
    let created = host.create_veth(&Veth {
        mac: Some(mac),
        mtu: Some(bridge.mtu),
        master: Some(bridge.index),
        alias: Some(&format!("{ALIAS} {vlan} of {}", bridge.name)),
        ipv6_link_local: false,
        ..Veth::new(&port, peer)
    });
    match created {
        // Another attachment may have been faster.
        Err(error) if error.is_exists() => find(host, name)?.ok_or_else(|| error.into()),
        created => Ok(host.link(created?.peer_index)?),
    }
}

/// Its end with the address goes up last: if that is up, all is done. If not, the one who made it is about to do these
/// steps as well, or was killed.
fn connect(host: &mut Socket, bridge: &Link, gateway: &Link, vlan: VlanId, config: &Config) -> Result<(), Error> {
    let port = port(host, gateway)?;
    match port.as_ref().map(|port| port.master) {
        None if gateway.up => return Ok(()),
        Some(Some(master)) if gateway.up && master == bridge.index => return Ok(()),
        Some(Some(master)) if master != bridge.index => {
            return Err(Error::ForeignGateway { link: gateway.name.clone(), bridge: bridge.name.clone() });
        }
        _ => {}
    }
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    let Some(port) = port else { return Ok(host.change_link(gateway.index, &up)?) };
    sysctl::refuse_router_advertisements(&gateway.name)?;
    sysctl::skip_duplicate_address_detection(&gateway.name)?;
    sysctl::refuse_router_advertisements(&port.name)?;
    // A bridge that was removed and made anew has lost this port.
    host.change_link(port.index, &LinkChange { master: Some(bridge.index), ..up })?;
    vlan::set(host, bridge, port.index, &[PortVlans::native(vlan.get())], config)?;
    host.change_link(gateway.index, &up)?;
    Ok(host.wait_until_running(gateway.index, RUNNING_WITHIN)?)
}

/// The end on the bridge. An administrator's link of another kind, such as an 802.1Q one on the bridge, has none, and is
/// used as it is.
fn port(host: &mut Socket, gateway: &Link) -> Result<Option<Link>, Error> {
    match gateway.peer_index.filter(|_| gateway.kind.as_deref() == Some("veth")) {
        Some(index) if gateway.peer_netns_id.is_none() => Ok(Some(host.link(index)?)),
        _ => Ok(None),
    }
}

/// For CHECK: the link is up, and leads into the VLAN.
pub(crate) fn check(host: &mut Socket, bridge: &Link, config: &Config) -> Result<Option<Link>, Error> {
    let Some((name, vlan)) = of(config)? else { return Ok(None) };
    let differs = |expected: &str, found: &str| differs(format!("gateway {name} in VLAN {vlan}"), expected, found);
    let gateway = find(host, &name)?.ok_or_else(|| differs("a link", "no such link"))?;
    if !gateway.up {
        return Err(differs("up", "down"));
    }
    if let Some(port) = port(host, &gateway)? {
        if port.master != Some(bridge.index) {
            return Err(differs(&format!("a pair with a port of {}", bridge.name), "its other end elsewhere"));
        }
        if !port.up {
            return Err(differs("its other end up", "down"));
        }
        vlan::check(host, bridge, &port, &[PortVlans::native(vlan.get())])?;
    }
    Ok(Some(gateway))
}
