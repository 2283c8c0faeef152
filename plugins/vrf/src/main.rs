//! The `vrf` CNI plugin.

cni_plugin::main!(vrf::Vrf);
