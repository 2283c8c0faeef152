//! The `bandwidth` CNI plugin.

cni_plugin::main!(bandwidth::Bandwidth);
