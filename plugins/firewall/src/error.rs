use cni_plugin::Code;

/// What keeps a container's traffic from being let through.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// nftables.
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    /// iptables.
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    /// firewalld.
    #[error(transparent)]
    Firewalld(#[from] firewalld::Error),
    /// The backend depends on firewalld, and the bus does not say whether it runs.
    #[error(
        "cannot tell whether firewalld runs, which decides how containers are let through: fix the D-Bus system bus, or set \
         \"backend\" to nftables, iptables or firewalld"
    )]
    Undecided(#[source] firewalld::Error),
    /// A policy between bridges, but no bridge.
    #[error(
        "the result of the previous plugin lists no bridge and no port of it, which \"ingressPolicy\" needs: \
         chain this plugin after bridge, or leave \"ingressPolicy\" out"
    )]
    NoBridge,
    /// Ports to be closed, on a way that does not lead through the host.
    #[error(
        "the result of the previous plugin lists no interface of the host, through which others would reach the container, \
         and \"unpublishedPorts\" closes no other way: chain this plugin after bridge or ptp, or leave \"unpublishedPorts\" out"
    )]
    NoLink,
    /// A container to be confined to its network, on a way that does not lead through the host.
    #[error(
        "the result of the previous plugin lists no interface of the host that leads to the container, and \"confinement\" is about \
         what the host forwards: chain this plugin after bridge or ptp, or leave \"confinement\" out"
    )]
    NoLinkToConfine,
    /// CHECK: a rule is missing or changed.
    #[error("the packet filter differs: {difference}")]
    Rules {
        /// Which one, and how.
        difference: String,
    },
    /// CHECK: firewalld forgot the address.
    #[error("firewalld differs: expected {address} in zone {zone}, found it in none or another")]
    NotInZone { address: std::net::IpAddr, zone: String },
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::NoBridge | Error::NoLink | Error::NoLinkToConfine => Code::InvalidConfig,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
