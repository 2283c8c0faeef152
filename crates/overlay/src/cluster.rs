use serde::{Deserialize, Serialize};

/// What all hosts have to agree on (`cluster`). The first agent writes it; the others go by it, whatever their own files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The UDP port of VXLAN.
    pub vxlan_port: u16,
    /// The UDP port of WireGuard.
    pub wireguard_port: u16,
    /// After how many seconds without a sign of life a host's blocks are taken back; never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_after: Option<u32>,
}

impl Default for Cluster {
    /// VXLAN's port is IANA's (RFC 7348, section 8); WireGuard has none.
    fn default() -> Self {
        Self { vxlan_port: 4789, wireguard_port: 51_871, reclaim_after: None }
    }
}
