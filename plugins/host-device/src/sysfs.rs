//! What sysfs says of devices: their interfaces and their drivers.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::config::{DeviceId, PciAddress};

const PCI: &str = "/sys/bus/pci/devices";
const AUXILIARY: &str = "/sys/bus/auxiliary/devices";
const LINKS: &str = "/sys/class/net";

/// Drivers that hand a device to a program (DPDK), so that it has no interface.
const USERSPACE_DRIVERS: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

pub(crate) fn pci_folder(address: &PciAddress) -> PathBuf {
    Path::new(PCI).join(address.as_str())
}

/// The folder of a device on the PCI or the auxiliary bus.
pub(crate) fn folder(id: &DeviceId) -> Result<PathBuf, Error> {
    let folders = [PCI, AUXILIARY].map(|bus| Path::new(bus).join(id.as_str()));
    for folder in folders {
        if is_there(&folder)? {
            return Ok(folder);
        }
    }
    Err(Error::UnknownId { id: id.as_str().to_owned() })
}

/// Whether a program has the device.
pub(crate) fn has_userspace_driver(folder: &Path) -> Result<bool, Error> {
    let driver = target(&folder.join("driver"))?;
    Ok(driver.is_some_and(|name| USERSPACE_DRIVERS.iter().any(|driver| name == *driver)))
}

fn is_there(folder: &Path) -> Result<bool, Error> {
    folder.try_exists().map_err(unreadable(folder))
}

/// The name of what a link of sysfs leads to; a device without a driver, or on no bus, has no such link.
fn target(link: &Path) -> Result<Option<OsString>, Error> {
    match fs::read_link(link) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        target => Ok(target.map_err(unreadable(link))?.file_name().map(ToOwned::to_owned)),
    }
}

fn unreadable(folder: &Path) -> impl FnOnce(io::Error) -> Error {
    let folder = folder.to_owned();
    move |source| Error::Sysfs { folder, source }
}

/// The first interface of a device, by name: of those that are on this host.
///
/// A virtio device has it in a folder of its own (drivers/virtio/virtio.c).
pub(crate) fn interface(folder: &Path) -> Result<String, Error> {
    let Some(inside) = entries(folder)? else { return Err(Error::NoFolder { folder: folder.to_owned() }) };
    let virtio = inside.into_iter().filter(|name| name.to_string_lossy().starts_with("virtio"));
    for parent in std::iter::once(folder.to_owned()).chain(virtio.map(|name| folder.join(name))) {
        if let Some(names) = entries(&parent.join("net"))? {
            let first = names.first().map(|name| name.to_string_lossy().into_owned());
            return first.ok_or_else(|| Error::NoInterface { folder: folder.to_owned() });
        }
    }
    Err(Error::NoInterface { folder: folder.to_owned() })
}

/// The names in a folder, sorted, if it is there.
fn entries(folder: &Path) -> Result<Option<Vec<OsString>>, Error> {
    let names = |entries: fs::ReadDir| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    match fs::read_dir(folder).and_then(names) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        names => {
            let mut names = names.map_err(unreadable(folder))?;
            names.sort();
            Ok(Some(names))
        }
    }
}

/// The PCI device that an interface is on, if it is on one.
pub(crate) fn pci_address(interface: &str) -> Result<Option<PciAddress>, Error> {
    let device = target(&Path::new(LINKS).join(interface).join("device"))?;
    Ok(device.and_then(|name| name.to_str()?.parse().ok()))
}
