use std::io;
use std::path::{Path, PathBuf};

use cni_plugin::{Code, IfName};

use crate::VlanId;

/// What is wrong with the link that a container's interface was to sit on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, and has no tag for which it could be made.
    #[error(
        "link {name}, the network's \"master\", does not exist: name one that does, or <link>.<VLAN> to have it made"
    )]
    NoMaster {
        /// The name.
        name: IfName,
    },
    /// No `master`, and no default route either.
    #[error("the network has no \"master\", and there is no default route whose link could be it: add \"master\"")]
    NoDefaultRoute,
    /// There is no NIC that could carry the tag.
    #[error("link {nic}.{tag} cannot be made: {nic} does not exist")]
    NoNic {
        /// The NIC.
        nic: String,
        /// The tag.
        tag: VlanId,
    },
    /// `master` and `vlan` say different tags.
    #[error("\"master\" {master} is VLAN {named}, but \"vlan\" is {vlan}: leave one of them out")]
    OtherTag {
        /// `master`.
        master: IfName,
        /// The tag in it.
        named: VlanId,
        /// `vlan`.
        vlan: VlanId,
    },
    /// NIC and tag together are no link's name.
    #[error(
        "{nic}.{vlan} is too long for a link's name: make one for VLAN {vlan} under a shorter name, and have \"master\" name it"
    )]
    NameTooLong {
        /// The NIC.
        nic: IfName,
        /// The tag.
        vlan: VlanId,
    },
    /// The kernel has one link at most for a tag.
    #[error("VLAN {tag} of {nic} is {holder} already: have \"master\" name that link")]
    TagTaken {
        /// The NIC.
        nic: String,
        /// The tag.
        tag: VlanId,
        /// The link that has it.
        holder: String,
    },
    /// The kernel has no 802.1Q.
    #[error("link {nic}.{tag} cannot be made: this kernel has no 802.1Q VLANs (module 8021q)")]
    NoVlanSupport {
        /// The NIC.
        nic: String,
        /// The tag.
        tag: VlanId,
        /// The kernel's refusal.
        source: netlink::Error,
    },
    /// The NIC underneath is down.
    #[error("link {link} cannot go up, because the link that it is a VLAN of is down: set that up first")]
    NicDown {
        /// The tagged link.
        link: String,
    },
    /// The kernel refused because of what sits on the link already.
    #[error(
        "{parent} cannot have {kind} links now: it is used otherwise, by links of another kind, a bridge or a bond"
    )]
    Busy {
        /// The link.
        parent: String,
        /// What was to sit on it.
        kind: &'static str,
        /// The kernel's refusal.
        source: netlink::Error,
    },
    /// Any other refusal of the kernel.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A sysctl of the host.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// The files of those who hold a link.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The CNI code: what the configuration names has to be there, files have to be writable.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoMaster { .. } | Self::NoDefaultRoute | Self::NoNic { .. } => Code::InvalidConfig,
            Self::OtherTag { .. } | Self::NameTooLong { .. } | Self::TagTaken { .. } | Self::Busy { .. } => {
                Code::InvalidConfig
            }
            Self::File { .. } => Code::Io,
            _ => Code::Internal,
        }
    }
}
