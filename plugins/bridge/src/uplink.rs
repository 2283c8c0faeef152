//! The link that leads out of the bridge, to the wire (`uplink`): found, or made for a tag and shared, and a port of the
//! bridge.

use cni_plugin::{Add, LinkName, Undo};
use ipnetwork::IpNetwork;
use netlink::{Address, Link, LinkChange, PortVlans, Socket, scope};
use parent_interface::{Master, Place, Ports};

use crate::check::differs;
use crate::{Config, Error, vlan};

/// What a link is to the bridge.
enum Found {
    /// No port of any, and fit to be one of this.
    Free,
    /// A port, because of an attachment.
    Ours,
    /// A port, because an administrator wants it to be one. It stays in the VLANs that it is in.
    Administrators,
}

/// Makes the link of a network that has one a port of the bridge, in the network's VLAN without a tag.
pub(crate) fn connect(
    host: &mut Socket,
    bridge: &Link,
    request: &Add<Config>,
    undo: &mut Undo,
) -> Result<Option<Link>, Error> {
    let config = &request.network.config;
    suite::note_inert_key(&request.network, "master", "the key for the link to the wire is \"uplink\"");
    let Some(name) = config.uplink()? else { return Ok(None) };
    let link = on_host(&name).attach(host, &request.attachment, undo)?;
    parent_interface::mtu_on(&link, config.mtu)?;
    let ports = Ports::lock()?;
    // Before the lock, another process may have made it a port, or taken it out.
    let link = host.link(link.index)?;
    let place = place(config);
    match look_at(host, &link, &place, Some(&ports))? {
        Found::Administrators => {}
        Found::Ours => ports.hold(&link.name, &request.attachment, undo)?,
        Found::Free => {
            ports.hold(&link.name, &request.attachment, undo)?;
            ports.set_place(&link.name, &place, undo)?;
            make_port(host, &link, bridge, config)?;
        }
    }
    Ok(Some(link))
}

fn on_host(name: &LinkName) -> Master<'_> {
    Master { key: "uplink", name: Some(name), in_container: false }
}

fn place(config: &Config) -> Place {
    Place { bridge: config.bridge.to_string(), vlan: config.vlan }
}

fn look_at(host: &mut Socket, link: &Link, place: &Place, ports: Option<&Ports>) -> Result<Found, Error> {
    let Some(index) = link.master else {
        require_fit(host, link, place, ports)?;
        return Ok(Found::Free);
    };
    let bridge = host.link(index)?.name;
    let made = ports.map_or(Ok(None), |ports| ports.place_of(&link.name))?;
    match made.filter(|made| made.bridge == bridge) {
        Some(made) if made == *place => Ok(Found::Ours),
        None if bridge == place.bridge => Ok(Found::Administrators),
        made => {
            let found = made.map_or(bridge, |made| made.to_string());
            Err(Error::PortOfAnother { link: link.name.clone(), found, wanted: place.clone() })
        }
    }
}

fn require_fit(host: &mut Socket, link: &Link, place: &Place, ports: Option<&Ports>) -> Result<(), Error> {
    let name = || link.name.clone();
    if !link.up {
        return Err(Error::UplinkDown { link: name() });
    }
    if let Some(address) = address(host, link)? {
        return Err(Error::HasAddress { link: name(), address, bridge: place.bridge.clone() });
    }
    match ports.map_or(Ok(None), |ports| ports.other_in(host, place, &link.name))? {
        Some(other) => Err(Error::SecondUplink { link: name(), place: place.clone(), other: other.name }),
        None => Ok(()),
    }
}

/// An address by which the host may be known: not a link-local one, which every link has that is up.
fn address(host: &mut Socket, link: &Link) -> Result<Option<IpNetwork>, Error> {
    if link.index == 0 {
        // It is not made yet.
        return Ok(None);
    }
    let is_known = |address: &&Address| address.scope != scope::LINK;
    Ok(host.addresses(link.index)?.iter().find(is_known).map(|address| address.network))
}

/// All of it is sent at once: a process that is killed has done all of it or nothing.
fn make_port(host: &mut Socket, link: &Link, bridge: &Link, config: &Config) -> Result<(), Error> {
    let mut batch = host.batch();
    // The bridge may have been made by others, without a fixed hardware address: with its first port it takes that one's, and is
    // given its own back. (Fixed before it ever had a port, the spanning tree would know it by zeroes: `br_set_mac_address`,
    // net/bridge/br_device.c.) One that has lost its last port has none.
    let pin = LinkChange { mac: bridge.mac.filter(|mac| mac.0 != [0; 6]), ..LinkChange::default() };
    let enslave = LinkChange { master: Some(bridge.index), ..LinkChange::default() };
    batch.change_link(link.index, &enslave).change_link(bridge.index, &pin);
    if let Some(vlans) = vlans(config) {
        batch.add_port_vlans(link.index, &vlans);
        // Whatever containers may receive of it, the wire is not to get it.
        vlan::leave_default(&mut batch, bridge, link.index, &vlans);
    }
    let refused = |source| Error::NoPort { link: link.name.clone(), bridge: bridge.name.clone(), source };
    batch.send().map_err(refused)
}

fn vlans(config: &Config) -> Option<[PortVlans; 1]> {
    config.vlan.map(|vlan| [PortVlans::native(vlan.get())])
}

/// For CHECK: the link is there, up and a port of the bridge, and in the network's VLAN unless an administrator decides that.
pub(crate) fn check(host: &mut Socket, bridge: &Link, config: &Config) -> Result<(), Error> {
    let Some(name) = config.uplink()? else { return Ok(()) };
    let link = on_host(&name).find(host)?;
    let differs = |expected: &str, found: &str| differs(format!("link {} to the wire", link.name), expected, found);
    if link.master != Some(bridge.index) {
        return Err(differs(&format!("a port of {}", bridge.name), "not its port"));
    }
    if !link.up {
        return Err(differs("up", "down"));
    }
    match (vlans(config), look_at(host, &link, &place(config), Ports::lock_existing()?.as_ref())?) {
        (Some(vlans), Found::Ours) => vlan::check(host, bridge, &link, &vlans),
        _ => Ok(()),
    }
}

/// For STATUS: the link is a port of the bridge, or can be made one, or can be made at all.
pub(crate) fn probe(host: &mut Socket, config: &Config) -> Result<(), Error> {
    let Some(name) = config.uplink()? else { return Ok(()) };
    let Some(link) = on_host(&name).probe(host)? else { return Ok(()) };
    parent_interface::mtu_on(&link, config.mtu)?;
    look_at(host, &link, &place(config), Ports::lock_existing()?.as_ref()).map(drop)
}
