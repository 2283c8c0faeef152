//! What an interface plugin knows of the other programs of this suite: which of them give addresses.
//!
//! Each is a program of its own. [`ALL`] saves the process of an IPAM plugin that is linked here where it is the one that
//! would be executed, and refuses to execute what is none: see [`cni_plugin::Network::ipam`].

use cni_plugin::Sibling;

/// The IPAM plugins that an interface plugin calls in process when they are installed beside it, and the plugins that are none.
/// (`dhcp` gives addresses as well, but has to be executed; so is `cluster`, which few use and all would carry.)
pub const ALL: &[Sibling] = &[
    Sibling::of::<host_local::HostLocal>(),
    Sibling::of::<static_ipam::Static>(),
    Sibling::without_addresses("bandwidth"),
    Sibling::without_addresses("bridge"),
    Sibling::without_addresses("dnsname"),
    Sibling::without_addresses("dummy"),
    Sibling::without_addresses("firewall"),
    Sibling::without_addresses("host"),
    Sibling::without_addresses("host-device"),
    Sibling::without_addresses("ipvlan"),
    Sibling::without_addresses("loopback"),
    Sibling::without_addresses("macvlan"),
    Sibling::without_addresses("none"),
    Sibling::without_addresses("overlay"),
    Sibling::without_addresses("portmap"),
    Sibling::without_addresses("ptp"),
    Sibling::without_addresses("sbr"),
    Sibling::without_addresses("tap"),
    Sibling::without_addresses("tuning"),
    Sibling::without_addresses("vlan"),
    Sibling::without_addresses("vrf"),
];
