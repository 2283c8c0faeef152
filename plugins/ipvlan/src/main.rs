//! The `ipvlan` CNI plugin.

cni_plugin::main!(ipvlan::Ipvlan);
