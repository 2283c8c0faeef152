//! The interface that a lease is for, found again however much later.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use cni_plugin::{AddResult, IfName};
use container_interface::Setup;
use netlink::{Changes, Link, Netns, NetnsId, Socket};
use serde::{Deserialize, Serialize};

use crate::lease::Settings;
use ip::Family;

/// A namespace and a link in it, by numbers that nothing else gets while the host runs: the path may lead to another
/// container's namespace by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    netns: PathBuf,
    device: u64,
    inode: u64,
    /// Kernels before 5.14 have none; there the inode has to do.
    cookie: Option<u64>,
    link: u32,
}

/// What is at a place now. Not to be kept: it keeps the namespace alive.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) netns: Netns,
    pub(super) socket: Socket,
    pub(super) link: Link,
}

/// Why nothing can be done at a place.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// It is no more.
    #[error("{0}")]
    Gone(String),
    /// The namespace, the link, or something about it.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// What makes IPv6 usable.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// Its addresses or routes.
    #[error(transparent)]
    Interface(#[from] container_interface::Error),
    /// DHCP needs an Ethernet address.
    #[error("interface {0} has no Ethernet address, by which a DHCP server could know it")]
    NotEthernet(String),
    /// A socket, for what.
    #[error("cannot {0}")]
    Io(&'static str, #[source] std::io::Error),
}

impl Place {
    /// The interface `ifname` of the namespace at `path`, set up so that it can speak DHCP of these families.
    pub(super) fn find(path: &Path, ifname: &IfName, families: &[Family]) -> Result<Self, PlaceError> {
        let netns = Netns::open(path)?;
        let mut socket = Socket::open_in(&netns)?;
        let link = socket.link(ifname.as_str())?;
        let NetnsId { device, inode } = netns.id();
        let place = Self { netns: path.into(), device, inode, cookie: netns.cookie()?, link: link.index };
        let mut inside = Inside { netns, socket, link };
        if families.contains(&Family::V4) {
            inside.mac()?;
        }
        inside.raise(families.contains(&Family::V6))?;
        Ok(place)
    }

    /// Goes there.
    pub(super) fn enter(&self) -> Result<Inside, PlaceError> {
        let path = self.netns.display();
        let netns = match Netns::open(&self.netns) {
            Err(error) if error.is_not_found() => return Err(PlaceError::Gone(error.to_string())),
            netns => netns?,
        };
        let same = netns.id() == NetnsId { device: self.device, inode: self.inode } && netns.cookie()? == self.cookie;
        if !same {
            return Err(PlaceError::Gone(format!("another network namespace is at {path} now")));
        }
        let mut socket = Socket::open_in(&netns)?;
        match socket.link(self.link) {
            Err(error) if error.is_not_found() => {
                Err(PlaceError::Gone(format!("the interface in {path} does not exist any more")))
            }
            link => Ok(Inside { link: link?, socket, netns }),
        }
    }

    /// Waits until a packet would leave the interface: it has a carrier, and for DHCPv6 an address that no other host is
    /// known to have.
    pub(super) async fn ready(&self, family: Family) -> Result<(), PlaceError> {
        let mut inside = self.enter()?;
        let changes = Changes::open_in(&inside.netns)?;
        let failed = |error| PlaceError::Io("hear of the interface's changes", error);
        let watched = sockets::watch(&changes).map_err(failed)?;
        while !inside.is_ready(family)? {
            let mut readable = watched.readable().await.map_err(failed)?;
            changes.clear().map_err(failed)?;
            readable.clear_ready();
        }
        Ok(())
    }
}

impl Inside {
    /// The interface's Ethernet address.
    pub(super) fn mac(&self) -> Result<[u8; 6], PlaceError> {
        self.link.mac.map(|mac| mac.0).ok_or_else(|| PlaceError::NotEthernet(self.link.name.clone()))
    }

    /// Whether packets to the interface's Ethernet address find it, although it has no IP address yet: on the links of an
    /// ipvlan, which share one, they do not.
    pub(super) fn is_addressed_by_mac(&self) -> bool {
        self.link.kind.as_deref() != Some("ipvlan")
    }

    fn raise(&mut self, ipv6: bool) -> Result<(), PlaceError> {
        if ipv6 {
            // Runtimes switch IPv6 off in namespaces without an IPv6 address. And to look for another host that has the same
            // link-local address, made of an Ethernet address that is unique already, takes a second and more.
            let name = self.link.name.as_str();
            self.netns.run(|| {
                sysctl::set_if_different(&["ipv6", "conf", name, "disable_ipv6"], "0")?;
                sysctl::set_if_different(&["ipv6", "conf", name, "accept_dad"], "0")
            })??;
        }
        if !self.link.up {
            self.socket.batch().set_up(self.link.index).send()?;
        }
        Ok(())
    }

    fn is_ready(&mut self, family: Family) -> Result<bool, PlaceError> {
        if !self.socket.link(self.link.index)?.running {
            return Ok(false);
        }
        Ok(family == Family::V4 || self.link_local()?.is_some())
    }

    /// The link-local address from which DHCPv6 speaks, once it can be used.
    pub(super) fn link_local(&mut self) -> Result<Option<Ipv6Addr>, PlaceError> {
        let addresses = self.socket.addresses(self.link.index)?;
        let usable = addresses.iter().filter(|address| !address.tentative && !address.duplicate);
        Ok(usable.map(|address| address.network.ip()).find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        }))
    }

    /// Whether the interface has an address.
    pub(super) fn has(&mut self, wanted: IpAddr) -> Result<bool, PlaceError> {
        let addresses = self.socket.addresses(self.link.index)?;
        Ok(addresses.iter().any(|address| address.network.ip() == wanted))
    }

    /// Makes of an interface with the old settings one with the new; none are those of an interface without an address.
    pub(super) fn reconfigure(&self, old: Option<&Settings>, new: Option<&Settings>) -> Result<(), PlaceError> {
        // Who renames an interface cannot give it a name that none could have.
        let Ok(ifname) = IfName::new(self.link.name.as_str()) else { return Ok(()) };
        let mac = self.link.mac.filter(|_| self.is_addressed_by_mac());
        let (old, new) = (result(old), result(new));
        let setup = |result| Setup { mac, ..Setup::new(&self.netns, &ifname, self.link.index, result) };
        Ok(container_interface::reconfigure(&setup(&old), &setup(&new))?)
    }
}

fn result(settings: Option<&Settings>) -> AddResult {
    let Some(settings) = settings else { return AddResult::default() };
    AddResult::default().with_ips(vec![settings.ip()]).with_routes(settings.routes.clone())
}
