use std::io;
use std::path::PathBuf;

use cni_plugin::Code;

/// What the host-device plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link or a namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The interface in the container.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The configuration names no device.
    #[error(
        "the network names no device: set one of \"device\", \"hwaddr\", \"kernelpath\" and \"pciBusID\", \
         or let a device plugin assign one (capability \"deviceID\")"
    )]
    NoSelector,
    /// The configuration names two, perhaps different, devices.
    #[error("\"{first}\" and \"{second}\" both name the device: leave one of them out")]
    TwoSelectors {
        /// One key.
        first: &'static str,
        second: &'static str,
    },
    /// No bus has such a device.
    #[error("device {id} is neither on the PCI nor on the auxiliary bus: is it still plugged in and enabled?")]
    UnknownId { id: String },
    /// A device that sysfs does not know.
    #[error("there is no device {}: correct the path or the PCI address, or plug it in", folder.display())]
    NoFolder { folder: PathBuf },
    /// A device without a link that this host could give away.
    #[error(
        "device {} has no interface on this host: a container has it already, or its driver is not loaded",
        folder.display()
    )]
    NoInterface {
        /// Where it is in sysfs.
        folder: PathBuf,
    },
    /// Sysfs cannot be read.
    #[error("read {}", folder.display())]
    Sysfs {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    /// No such link, or not here.
    #[error("device {device} is not on this host: a container has it already, or it has another name")]
    NotOnHost {
        /// The device as the configuration names it.
        device: String,
    },
    /// The kernel does not let it go.
    #[error(
        "device {device} cannot be moved into the container: bridges and some tunnels, for instance, \
         stay in the namespace that they were made in"
    )]
    Immovable {
        /// Its name on the host.
        device: String,
        #[source]
        source: netlink::Error,
    },
    /// The device's mark has no room in its alias.
    #[error(
        "device {device} has no room for {length} bytes of alias, which say whose it is and what it was: \
         at most {max} fit, so shorten its alias or the network's name",
        max = netlink::MAX_ALIAS_LEN
    )]
    MarkTooLong {
        /// Its name on the host.
        device: String,
        /// What the mark would need.
        length: usize,
    },
    /// Another link has its name now.
    #[error(
        "device {device} is on the host again, but as {now}: another link is called {device}, \
         so rename that one and run DEL or GC again"
    )]
    NameTaken {
        /// Its name on the host, before.
        device: String,
        now: String,
    },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) | Error::MarkTooLong { .. } => Code::InvalidEnvironment,
            Error::NoSelector | Error::TwoSelectors { .. } => Code::InvalidConfig,
            Error::Sysfs { .. } => Code::Io,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
