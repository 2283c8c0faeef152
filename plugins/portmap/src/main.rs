//! The `portmap` CNI plugin.

cni_plugin::main!(portmap::Portmap);
