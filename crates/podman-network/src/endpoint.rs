use cni::IfName;
use serde_json::Value;

/// What is said about one container's end of a network.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// The object `ipam` of the interface plugin; `null` where nobody gives addresses.
    pub ipam: Value,
    /// The hardware address that was asked for.
    pub mac: Option<String>,
    /// What the host's end of a pair is to be called.
    pub host_interface_name: Option<IfName>,
    /// MTU in bytes where the network says nothing.
    pub mtu: Option<u32>,
    /// What lets packets through and translates them.
    pub firewall: Firewall,
    /// Whichever name server the container asks, it is answered by the network's.
    pub intercept_names: bool,
}

/// The packet filter to use (`firewall_driver` of containers.conf).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Firewall {
    /// The host's own: nftables, and firewalld where it runs.
    #[default]
    Default,
    /// nftables.
    Nftables,
    /// iptables.
    Iptables,
    /// firewalld for what is let through.
    Firewalld,
    /// None.
    None,
}

impl Firewall {
    /// The firewall plugin's `backend`.
    pub(crate) fn backend(self) -> Option<&'static str> {
        match self {
            Self::Default | Self::None => None,
            Self::Nftables => Some("nftables"),
            Self::Iptables => Some("iptables"),
            Self::Firewalld => Some("firewalld"),
        }
    }

    /// The backend of what translates addresses.
    pub(crate) fn translation(self) -> &'static str {
        if self == Self::Iptables { "iptables" } else { "nftables" }
    }
}
