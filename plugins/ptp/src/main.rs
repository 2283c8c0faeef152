//! The `ptp` CNI plugin.

cni_plugin::main!(ptp::Ptp);
