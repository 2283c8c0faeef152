use std::fmt;

use cni_plugin::{Attachment, Undo};
use netlink::{Link, LinkChange, Socket, if_found};

use crate::holders::Holders;
use crate::master::undo_holding;
use crate::{Error, VlanId};

/// Where a port leads: into a bridge, and there into one of its VLANs, if it keeps them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the bridge that the link is a port of.
    pub bridge: String,
    /// The VLAN that the port is in; `None` if the bridge does not filter VLANs.
    pub vlan: Option<VlanId>,
}

/// Links of the host that attachments made ports of a bridge, for as long as one of them holds it.
///
/// No other process can make a link a port, or take it out, as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    holders: Holders,
}

impl Ports {
    /// For ADD.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn lock() -> Result<Self, Error> {
        Ok(Self { holders: Holders::lock()? })
    }

    /// For CHECK and STATUS: `None` if no link was ever held.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn lock_existing() -> Result<Option<Self>, Error> {
        Ok(Holders::lock_existing()?.map(|holders| Self { holders }))
    }

    /// Where attachments wanted the link to lead. It may have been moved since.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn place_of(&self, link: &str) -> Result<Option<Place>, Error> {
        Ok(self.holders.bridge(link)?.and_then(|text| Place::from_text(&text)))
    }

    /// Another link than `link` that leads to the same place.
    ///
    /// # Errors
    /// When the files cannot be read, or the kernel refuses.
    pub fn other_in(&self, socket: &mut Socket, place: &Place, link: &str) -> Result<Option<Link>, Error> {
        for other in self.holders.links()? {
            if other != link
                && self.place_of(&other)?.as_ref() == Some(place)
                && let Some(other) = port_of(socket, &other, &place.bridge)?
            {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Holds a port, or a link that is about to become one, until [`crate::detach`], which takes it out if no other holds
    /// it.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn hold(&self, link: &str, attachment: &Attachment, undo: &mut Undo) -> Result<(), Error> {
        if self.holders.hold(link, attachment, "")? {
            undo_holding(link, attachment, undo);
        }
        Ok(())
    }

    /// Writes down where a link that is held is about to lead: should we be killed, it is taken out by that.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn set_place(&self, link: &str, place: &Place, undo: &mut Undo) -> Result<(), Error> {
        self.holders.set_bridge(link, &place.to_string())?;
        let (name, bridge) = (link.to_owned(), place.bridge.clone());
        undo.push(format!("forget where link {link} was to lead"), move || forget_unless_port(&name, &bridge));
        Ok(())
    }
}

/// Others may hold the link in another way, and others again may have made it a port meanwhile.
fn forget_unless_port(link: &str, bridge: &str) -> Result<(), Error> {
    let holders = Holders::lock()?;
    match port_of(&mut Socket::open()?, link, bridge)? {
        Some(_port) => Ok(()),
        None => holders.forget_bridge(link),
    }
}

/// Takes a link out of the bridge that attachments made it a port of.
pub(crate) fn take_out(holders: &Holders, name: &str) -> Result<(), Error> {
    let Some(text) = holders.bridge(name)? else { return Ok(()) };
    if let Some(place) = Place::from_text(&text) {
        let mut socket = Socket::open()?;
        if let Some(link) = port_of(&mut socket, name, &place.bridge)? {
            socket.change_link(link.index, &LinkChange { master: Some(0), ..LinkChange::default() })?;
        }
    }
    holders.forget_bridge(name)
}

/// The link, if it is there and a port of the bridge.
fn port_of(socket: &mut Socket, name: &str, bridge: &str) -> Result<Option<Link>, Error> {
    let Some(link) = if_found(socket.link(name))? else { return Ok(None) };
    match link.master {
        Some(index) if socket.link(index)?.name == bridge => Ok(Some(link)),
        _ => Ok(None),
    }
}

const VLAN: &str = " in VLAN ";

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.bridge)?;
        self.vlan.map_or(Ok(()), |vlan| write!(formatter, "{VLAN}{vlan}"))
    }
}

impl Place {
    /// Reads what [`Display`](fmt::Display) wrote. What was not written to its end is no place.
    fn from_text(text: &str) -> Option<Self> {
        let (bridge, vlan) = match text.split_once(VLAN) {
            Some((bridge, vlan)) => (bridge, Some(VlanId::new(vlan.parse().ok()?)?)),
            None => (text, None),
        };
        Some(Self { bridge: bridge.to_owned(), vlan })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for (vlan, text) in [(None, "br0"), (VlanId::new(20), "br0 in VLAN 20")] {
            let place = Place { bridge: "br0".to_owned(), vlan };
            assert_eq!(place.to_string(), text);
            assert_eq!(Place::from_text(text), Some(place));
        }
        assert_eq!(Place::from_text("br0 in VLAN "), None);
        assert_eq!(Place::from_text("br0 in VLAN 4095"), None);
    }
}
