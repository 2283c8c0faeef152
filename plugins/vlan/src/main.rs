//! The `vlan` CNI plugin.

cni_plugin::main!(vlan::Vlan);
