use cni_plugin::{Code, IfName};

/// What keeps an interface from being put into a VRF.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link, address, route or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Entering the container for DEL.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The configuration does not say which VRF.
    #[error("the network's vrf plugin has no \"vrfname\": name the VRF that its interfaces are to be in")]
    NoName,
    /// The kernel has no VRFs.
    #[error("this kernel has no VRFs (module vrf)")]
    Unsupported,
    /// Another link has the VRF's name.
    #[error("the container has a link {name} that is {kind}, not a VRF: choose another \"vrfname\"")]
    NotAVrf { name: IfName, kind: String },
    /// The VRF is there with another table.
    #[error(
        "VRF {name} has table {found}, but the network's \"table\" is {wanted}: make them equal, or leave \"table\" out"
    )]
    OtherTable {
        name: IfName,
        found: u32,
        /// The one that is configured.
        wanted: u32,
    },
    /// A link has one master at most.
    #[error("interface {ifname} in the container belongs to {master} already, and cannot be put into VRF {vrf}")]
    OtherMaster { ifname: IfName, master: String, vrf: String },
    /// CHECK: something is not as ADD left it.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoName | Error::NotAVrf { .. } | Error::OtherTable { .. } | Error::OtherMaster { .. } => {
                Code::InvalidConfig
            }
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
