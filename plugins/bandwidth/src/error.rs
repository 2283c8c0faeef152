use cni_plugin::{Code, IfName};

/// What keeps a container from being limited, or how its limits differ from what they should be.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link, its disciplines or a namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The other end of the container's interface.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// Newer releases of the reference limit traffic to and from some subnets only.
    #[error(
        "\"shapedSubnets\" and \"unshapedSubnets\" are not supported: leave them out to limit all of the container's \
         traffic"
    )]
    BySubnet,
    /// The interface cannot be limited.
    #[error(
        "interface {ifname} in the container is a {kind}: bandwidth needs a veth, such as bridge and ptp make, whose \
         other end on the host can be limited"
    )]
    NotAVeth { ifname: IfName, kind: String },
    /// The veth leads elsewhere.
    #[error(
        "interface {ifname} in the container has its other end in another namespace than the host's, where it cannot be \
         limited"
    )]
    NoHostEnd { ifname: IfName },
    /// The traffic of the host's end is controlled already.
    #[error(
        "link {link} on the host already has {what}, which bandwidth did not create: let only one plugin control \
         its traffic, or remove it (tc qdisc del dev {link} {handle})"
    )]
    Occupied {
        /// The host's end of the container's interface.
        link: String,
        what: &'static str,
        /// What tc calls its place.
        handle: &'static str,
    },
    /// The kernel lacks something.
    #[error("this kernel has no {what}: install its module {module:?}, or a kernel that has {option}")]
    NotInKernel {
        what: &'static str,
        module: &'static str,
        /// Its option when the kernel is built.
        option: &'static str,
    },
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
            Error::BySubnet => Code::UnsupportedField,
            Error::NotAVeth { .. } | Error::NoHostEnd { .. } => Code::InvalidConfig,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
