//! What sysfs says of devices: their interfaces and their drivers.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::config::{DeviceId, PciAddress};

const PCI: &str = "/sys/bus/pci/devices";
const AUXILIARY: &str = "/sys/bus/auxiliary/devices";
const LINKS: &str = "/sys/class/net";

/// Drivers that hand a device to a program (DPDK), so that it has no interface.
const USERSPACE_DRIVERS: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// The folder of a PCI device.
pub(crate) fn pci_folder(address: &PciAddress) -> PathBuf {
    Path::new(PCI).join(address.as_str())
}

/// The folder of a device on the PCI or the auxiliary bus.
pub(crate) fn folder(id: &DeviceId) -> Result<PathBuf, Error> {
    let folders = [PCI, AUXILIARY].map(|bus| Path::new(bus).join(id.as_str()));
    folders.into_iter().find(|folder| folder.exists()).ok_or_else(|| Error::UnknownId { id: id.as_str().to_owned() })
}

/// Whether a program has the device.
pub(crate) fn has_userspace_driver(folder: &Path) -> bool {
    // A device without a driver has no such link.
    let driver = fs::read_link(folder.join("driver")).unwrap_or_default();
    driver.file_name().is_some_and(|name| USERSPACE_DRIVERS.iter().any(|driver| name == *driver))
}

/// The first interface of a device, by name: of those that are on this host.
///
/// A virtio device has it in a folder of its own (drivers/virtio/virtio.c).
pub(crate) fn interface(folder: &Path) -> Result<String, Error> {
    let read = |folder: &Path| entries(folder).map_err(|source| Error::Sysfs { folder: folder.to_owned(), source });
    if !folder.exists() {
        return Err(Error::NoFolder { folder: folder.to_owned() });
    }
    let virtio = read(folder)?.into_iter().filter(|name| name.to_string_lossy().starts_with("virtio"));
    let parents = std::iter::once(folder.to_owned()).chain(virtio.map(|name| folder.join(name)));
    let net = parents.map(|parent| parent.join("net")).find(|net| net.is_dir());
    let names = net.map_or_else(|| Ok(Vec::new()), |net| read(&net))?;
    let first = names.first().map(|name| name.to_string_lossy().into_owned());
    first.ok_or_else(|| Error::NoInterface { folder: folder.to_owned() })
}

/// The names in a folder, sorted.
fn entries(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The PCI device that an interface is on, if it is on one.
pub(crate) fn pci_address(interface: &str) -> Option<PciAddress> {
    let device = fs::read_link(Path::new(LINKS).join(interface).join("device")).ok()?;
    device.file_name()?.to_str()?.parse().ok()
}
