//! The IPAM plugins of this suite, linked into the interface plugins.
//!
//! Each is a program of its own as well. [`SIBLINGS`] saves that process where it is the one that would be executed: see
//! [`cni_plugin::Network::ipam`].

use cni_plugin::Sibling;

/// The IPAM plugins that an interface plugin calls in process when they are installed beside it.
pub const SIBLINGS: &[Sibling] = &[Sibling::of::<host_local::HostLocal>(), Sibling::of::<static_ipam::Static>()];
