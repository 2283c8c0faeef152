//! How large a packet can be in a network whose packets travel in others.

use std::net::IpAddr;

/// The smallest that IPv6 allows (RFC 8200, section 5).
pub const SMALLEST: u32 = 1280;
/// The largest that a header can say.
pub const LARGEST: u32 = 65_535;

/// What a VXLAN header, UDP, IP and the inner Ethernet header take, in bytes (RFC 7348, section 5).
#[must_use]
pub fn vxlan_overhead(underlay: IpAddr) -> u32 {
    if underlay.is_ipv4() { 50 } else { 70 }
}

/// What WireGuard, UDP and IP take, in bytes.
#[must_use]
pub fn wireguard_overhead(underlay: IpAddr) -> u32 {
    if underlay.is_ipv4() { 60 } else { 80 }
}
