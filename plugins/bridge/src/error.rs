use cni_plugin::{Code, IfName, LinkName};
use ipnetwork::IpNetwork;
use parent_interface::{Place, VlanId};

/// What the bridge plugin can fail with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// The protocol, or the delegated IPAM plugin.
    #[error(transparent)]
    Cni(#[from] cni_plugin::Error),
    /// A link, address, route or namespace.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The container's end.
    #[error(transparent)]
    Container(#[from] container_interface::Error),
    /// A sysctl of the host.
    #[error(transparent)]
    Sysctl(#[from] sysctl::Error),
    /// Masquerade and the check of source addresses.
    #[error(transparent)]
    Rules(#[from] masquerade::Error),
    /// Addresses to leave under, and nothing that gives them.
    #[error(
        "\"outboundAddresses\" are the sources that masquerade gives: set \"ipMasq\": true, and no other \"ipMasqBackend\" than nftables"
    )]
    NoMasquerade,
    /// The link that leads out of the bridge.
    #[error(transparent)]
    Parent(#[from] parent_interface::Error),
    /// The link that should lead out of the bridge does so from another, or from another of its VLANs.
    #[error(
        "{link}, the network's \"uplink\", is a port of {found} already, and cannot be one of {wanted}: \
         choose the same \"bridge\" and \"vlan\", or another \"uplink\""
    )]
    PortOfAnother { link: String, found: String, wanted: Place },
    /// What two links carry would become one network.
    #[error(
        "{link}, the network's \"uplink\", cannot be a port of {place}, because {other} is: what they carry would become one \
         network; choose another \"bridge\""
    )]
    SecondUplink {
        link: String,
        place: Place,
        /// The link that leads there.
        other: String,
    },
    /// Nothing would get to the wire.
    #[error("{link}, the network's \"uplink\", is down: set it up first")]
    UplinkDown { link: String },
    /// The host would be out of reach under an address of a link that becomes a port.
    #[error(
        "{link}, the network's \"uplink\", has address {address}, under which the host could not be reached any more once it is a \
         port of {bridge}: move its addresses and routes to {bridge} and make it a port yourself, or choose another \"uplink\""
    )]
    HasAddress {
        link: String,
        /// One of its addresses.
        address: IpNetwork,
        bridge: String,
    },
    /// The kernel does not make the link a port.
    #[error(
        "{link}, the network's \"uplink\", cannot be made a port of {bridge}: choose another if it has macvlan or ipvlan links, \
         or carries no Ethernet frames"
    )]
    NoPort { link: String, bridge: String, source: netlink::Error },
    /// `uplink` and `vlan` say different tags.
    #[error("\"uplink\" {uplink} is VLAN {named}, but \"vlan\" is {vlan}: leave one of them out")]
    UplinkOfOtherVlan {
        /// `uplink`.
        uplink: LinkName,
        named: VlanId,
        /// `vlan`.
        vlan: VlanId,
    },
    /// Link and VLAN together are no link's name.
    #[error(
        "{uplink}.{vlan} is too long for a link's name: make one for VLAN {vlan} under a shorter name, leave \"vlan\" out, and \
         have \"uplink\" name it"
    )]
    UplinkNameTooLong {
        /// `uplink`.
        uplink: LinkName,
        /// `vlan`.
        vlan: VlanId,
    },
    /// Two keys exclude each other.
    #[error("\"{first}\" and \"{second}\" cannot be used together: {why}")]
    Conflict {
        /// One key.
        first: &'static str,
        second: &'static str,
        /// Why not both.
        why: &'static str,
    },
    /// Another link has the bridge's name.
    #[error("link {name} exists and is {kind}, not a bridge: choose another \"bridge\" or remove the link")]
    NotABridge { name: IfName, kind: String },
    /// The bridge would not keep the network's VLANs apart from others.
    #[error(
        "bridge {bridge} does not filter VLANs, so its containers would all reach each other: \
         run `ip link set {bridge} type bridge vlan_filtering 1`, or choose another \"bridge\""
    )]
    NoVlanFiltering { bridge: String },
    /// No bridge of this kernel can keep VLANs apart.
    #[error(
        "this kernel's bridges cannot filter VLANs, because it was built without CONFIG_BRIDGE_VLAN_FILTERING: \
         use a bridge for each network instead of \"vlan\" and \"vlanTrunk\""
    )]
    NoVlanSupport,
    /// Bridge and VLAN together are no link's name.
    #[error(
        "the gateway's link into the VLAN would be {bridge}.{vlan}, which is too long: \
         choose a \"bridge\" of fewer characters"
    )]
    GatewayNameTooLong { bridge: IfName, vlan: VlanId },
    /// The gateway's link into a VLAN is connected to something else.
    #[error(
        "link {link} exists, but belongs to another bridge than {bridge}: remove it, and the next ADD makes it correctly"
    )]
    ForeignGateway { link: String, bridge: String },
    /// The bridge, or its link into a VLAN, is a gateway of another subnet already.
    #[error(
        "{link} has address {found}, but the network's gateway is {wanted}: \
         use another bridge or VLAN, or set \"forceAddress\" to replace it"
    )]
    OtherAddress {
        link: String,
        found: IpNetwork,
        /// The one it should have.
        wanted: IpNetwork,
    },
    /// CHECK: the bridge or its port is not as ADD left it.
    #[error(transparent)]
    Differs(#[from] cni_plugin::Difference),
}

impl Error {
    /// Whether it is an interface of the same attachment that stands in the way.
    #[must_use]
    pub fn is_attached_already(&self) -> bool {
        matches!(self, Self::Container(container_interface::Error::AttachedAlready { .. }))
    }
}

impl From<Error> for cni_plugin::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Cni(inner) => return inner,
            Error::Container(ref inner) => inner.code(),
            Error::Parent(ref inner) => inner.code(),
            Error::Netlink(netlink::Error::Netns(_)) => Code::InvalidEnvironment,
            Error::Conflict { .. }
            | Error::OtherAddress { .. }
            | Error::GatewayNameTooLong { .. }
            | Error::UplinkOfOtherVlan { .. }
            | Error::UplinkNameTooLong { .. }
            | Error::NoMasquerade => Code::InvalidConfig,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
