//! The device that the configuration selects, on the host.

use std::fmt;
use std::path::PathBuf;

use cni_plugin::LinkName;
use netlink::{HardwareAddress, Link, Socket, if_found};

use crate::config::{PciAddress, Selector};
use crate::mark::Mark;
use crate::{Error, sysfs};

/// A device, whether or not it has a link on the host just now.
#[derive(Debug)]
pub(crate) enum Device<'a> {
    Named(&'a LinkName),
    Addressed(&'a HardwareAddress),
    /// What has this folder in sysfs.
    At(PathBuf),
}

impl<'a> Device<'a> {
    pub(crate) fn locate(selector: Selector<'a>) -> Result<Self, Error> {
        Ok(match selector {
            Selector::Name(name) => Self::Named(name),
            Selector::Address(address) => Self::Addressed(address),
            Selector::Path(path) => Self::At(path.to_owned()),
            Selector::Pci(address) => Self::At(sysfs::pci_folder(address)),
            Selector::Id(id) => Self::At(sysfs::folder(id)?),
        })
    }

    /// Whether a program has the device, through a driver that gives it no interface: then there is nothing to move.
    pub(crate) fn is_in_userspace(&self) -> Result<bool, Error> {
        match self {
            Self::At(folder) => sysfs::has_userspace_driver(folder),
            _ => Ok(false),
        }
    }

    /// The device's link, if it is in the host's namespace.
    pub(crate) fn link(&self, host: &mut Socket) -> Result<Link, Error> {
        let found = match self {
            Self::Named(name) => named(host, name.as_str())?,
            Self::Addressed(address) => host.links()?.into_iter().find(|link| link.hardware_address == **address),
            Self::At(folder) => named(host, &sysfs::interface(folder)?)?,
        };
        found.ok_or_else(|| Error::NotOnHost { device: self.to_string() })
    }

    /// Its place on the PCI bus, if it has one, for the result.
    pub(crate) fn pci_address(&self, link: &Link) -> Result<Option<PciAddress>, Error> {
        let named = match self {
            Self::At(folder) => folder.file_name().and_then(|name| name.to_str()?.parse().ok()),
            _ => None,
        };
        named.map_or_else(|| sysfs::pci_address(&link.name), |address| Ok(Some(address)))
    }

    /// Whether a link in a container can be this device, which the reference's plugin put there.
    pub(crate) fn can_be(&self, inside: &mut Socket, link: &Link) -> Result<bool, Error> {
        Ok(match self {
            Self::Named(name) if link.alias.as_deref() == Some(name.as_str()) => true,
            // The configuration may have one of its alternative names.
            Self::Named(name) => if_found(inside.link(name.as_str()))?.is_some_and(|found| found.index == link.index),
            Self::Addressed(address) => link.hardware_address == **address,
            Self::At(_) => true,
        })
    }
}

/// The link of that name, or the one that had it before a container took it: when a namespace vanishes, the kernel gives its
/// physical devices back under the names that they had there, or a new one.
fn named(host: &mut Socket, name: &str) -> Result<Option<Link>, Error> {
    match host.link(name) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.is_not_found() => {
            let had_it = |link: &Link| Mark::of(link).is_some_and(|mark| mark.name.as_str() == name);
            Ok(host.links()?.into_iter().find(had_it))
        }
        Err(error) => Err(error.into()),
    }
}

impl fmt::Display for Device<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(formatter, "{name}"),
            Self::Addressed(address) => write!(formatter, "with hardware address {address}"),
            Self::At(folder) => write!(formatter, "{}", folder.display()),
        }
    }
}
