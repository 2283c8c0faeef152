use std::io;
use std::path::{Path, PathBuf};

use cni_plugin::{Code, LinkName};
use netlink::{Link, LinkKind};
use nix::libc;

use crate::VlanId;

/// What is wrong with the link that a container's interface was to sit on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// It is not there, and has no tag for which it could be made.
    #[error(
        "link {name}, the network's \"{key}\", does not exist: name one that does, or <link>.<VLAN> to have it made"
    )]
    NoMaster { key: &'static str, name: LinkName },
    /// It is not there, and what it ends in is no tag.
    #[error(
        "link {name}, the network's \"{key}\", does not exist and cannot be made: {tag} is not a VLAN, 1 to 4094 are"
    )]
    NoTag { key: &'static str, name: LinkName, tag: String },
    /// It is not in the container, where nothing is made for it.
    #[error(
        "link {name}, the network's \"{key}\", is not in the container, where \"linkInContainer\" has it looked for: \
         a network before this one has to bring it there"
    )]
    NotInContainer { key: &'static str, name: LinkName },
    /// No `master`, and no default route either.
    #[error("the network has no \"master\", and there is no default route whose link could be it: add \"master\"")]
    NoDefaultRoute,
    /// There is no NIC that could carry the tag.
    #[error("link {nic}.{tag} cannot be made: {nic} does not exist")]
    NoNic { nic: String, tag: VlanId },
    /// A link is called after another tag than its own.
    #[error("link {link} is of VLAN {found}, not {named}: rename it, or have the network name another")]
    Misnamed {
        link: String,
        /// The tag in its name.
        named: VlanId,
        found: u16,
    },
    /// The kernel has one link at most for a tag.
    #[error("VLAN {tag} of {nic} is {holder} already: have the network name that link")]
    TagTaken {
        nic: String,
        tag: VlanId,
        /// The link that has it.
        holder: String,
    },
    /// The kernel has no 802.1Q.
    #[error("link {nic}.{tag} cannot be made: this kernel has no 802.1Q VLANs (module 8021q)")]
    NoVlanSupport { nic: String, tag: VlanId },
    /// The NIC underneath is down.
    #[error("link {link} cannot go up, because the link that it is a VLAN of is down: set that up first")]
    NicDown { link: String },
    /// The kernel refused because of what sits on the link already.
    #[error(
        "{parent} cannot have {kind} links now: it is used otherwise, by links of another kind, a bridge or a bond"
    )]
    Busy {
        parent: String,
        /// What was to sit on it.
        kind: &'static str,
        /// The kernel's refusal, if it was asked.
        source: Option<netlink::Error>,
    },
    /// Others sit on the link, in a way that the kernel keeps once for all of them.
    #[error(
        "{parent} cannot have a link with {wanted}: {holder} has {found}, and the kernel keeps that once for all links on \
         {parent}; choose the same, or another \"master\""
    )]
    OtherTerms {
        parent: String,
        /// Who sits there.
        holder: String,
        /// How.
        found: String,
        /// How it was to be.
        wanted: String,
    },
    /// An MTU that no link on this parent can have.
    #[error(
        "\"mtu\" {mtu} cannot be had on {parent}, whose own is {largest}: write {smallest} to {largest}, or 0 for {parent}'s"
    )]
    Mtu {
        mtu: u32,
        parent: String,
        /// The smallest that the kernel takes.
        smallest: u32,
        /// That of the link underneath.
        largest: u32,
    },
    /// The kernel has no such links.
    #[error("this kernel has no {kind} links (module {})", module(kind))]
    NoSupport {
        /// What was to sit on the link.
        kind: &'static str,
    },
    /// Such links need Ethernet frames under them.
    #[error("{parent} cannot have {kind} links: it carries no Ethernet frames")]
    NotEthernet {
        parent: String,
        /// What was to sit on it.
        kind: &'static str,
    },
    /// For CHECK: the container's interface sits on another link.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
    /// Any other refusal of the kernel.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A sysctl of the host.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// The files of those who hold a link.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The kernel's module for a kind of links.
fn module(kind: &str) -> &str {
    if kind == "vlan" { "8021q" } else { kind }
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// `holder` sits on `parent` on other terms than those wanted.
    #[must_use]
    pub fn other_terms(parent: &str, holder: String, found: String, wanted: &str) -> Self {
        Self::OtherTerms { parent: parent.to_owned(), holder, found, wanted: wanted.to_owned() }
    }

    /// What it means that the kernel refuses to make a link of `kind` on `parent`.
    #[must_use]
    pub fn of_refusal(refusal: netlink::Error, parent: &Link, kind: LinkKind) -> Self {
        let (name, kind) = (|| parent.name.clone(), kind.name());
        match refusal.errno() {
            Some(libc::EBUSY) => Self::Busy { parent: name(), kind, source: Some(refusal) },
            Some(libc::EOPNOTSUPP) => Self::NoSupport { kind },
            Some(libc::EINVAL) if !parent.ethernet => Self::NotEthernet { parent: name(), kind },
            _ => Self::Netlink(refusal),
        }
    }

    /// The CNI code: 7 for what cannot be right on any host.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Mtu { .. } | Self::NoTag { .. } => Code::InvalidConfig,
            Self::File { .. } => Code::Io,
            _ => Code::Internal,
        }
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        Self::from_chain(error.code(), &error)
    }
}
