use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni::NetworkName;
use ipnetwork::IpNetwork;

/// What is wrong with a network.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// It is no description of one.
    #[error("this is no network as Podman describes one: {reason}")]
    Description { reason: String },
    /// An option has a value that it cannot have.
    #[error("network {network}: option {key}: {reason}; correct it, and create the network anew")]
    Option { network: NetworkName, key: String, reason: String },
    /// An option that the driver does not have.
    #[error("network {network}: the driver {driver} has no option {key}: use {known}")]
    UnknownOption { network: NetworkName, driver: String, key: String, known: String },
    /// Nobody gives addresses by that name.
    #[error("network {network}: there is no ipam driver {driver:?}: use host-local, dhcp or none")]
    Ipam { network: NetworkName, driver: String },
    /// A DHCP server is on a wire, and the network has none.
    #[error(
        "network {network}: ipam driver dhcp needs a wire with a DHCP server: use driver macvlan, or bridge with option mode=unmanaged"
    )]
    NoWire { network: NetworkName },
    /// A link has to have a name.
    #[error("network {network}: no \"network_interface\" says what the bridge is called: create the network anew")]
    NoInterface { network: NetworkName },
    /// No link can be called like that.
    #[error("network {network}: {source}")]
    Name { network: NetworkName, source: cni::InvalidName },
    /// An address that has no place.
    #[error("network {network}: {address} is in none of its subnets: ask for another address, or leave that to Podman")]
    NoSubnet { network: NetworkName, address: IpAddr },
    /// Two subnets of one network.
    #[error("network {network}: its subnets {one} and {other} overlap: create it anew with others")]
    Overlap { network: NetworkName, one: IpNetwork, other: IpNetwork },
    /// A route that there cannot be.
    #[error("network {network}: route to {destination}: {reason}")]
    Route { network: NetworkName, destination: IpNetwork, reason: &'static str },
    /// A file with a network, or the folder of them.
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// What is in the file is none.
    #[error("{} cannot be used: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
}

impl Error {
    /// The file that it is about, or the folder of them; none of those about a network in general.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Broken { path, .. } => path,
            _ => Path::new(""),
        }
    }
}
