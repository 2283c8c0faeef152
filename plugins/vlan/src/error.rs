use cni_plugin::Code;

/// What the vlan plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The interface in the container.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// The link that carries the VLAN.
    #[error(transparent)]
    Parent(#[from] parent_interface::Error),
    /// The configuration does not say which link.
    #[error("the network has no \"master\": name the link whose VLAN containers are to have")]
    NoMaster,
    /// That link is down.
    #[error(
        "{parent}, the network's \"master\", is down, so its VLANs would be down too: run `ip link set {parent} up`"
    )]
    Down { parent: String },
    /// A link has each of its VLANs once.
    #[error(
        "VLAN {id} of {parent} is already in use by another container or the host, and a link can have it only once: \
         for several containers use bridge with \"uplink\", or macvlan or ipvlan with \"master\": \"{parent}.{id}\""
    )]
    InUse {
        id: u16,
        /// The link that carries it.
        parent: String,
    },
    /// The link is one of those that carry no VLANs, such as lo.
    #[error("{parent}, the network's \"master\", cannot carry VLANs: choose another")]
    CannotCarry { parent: String, source: netlink::Error },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Parent(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::NoMaster => Code::InvalidConfig,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
