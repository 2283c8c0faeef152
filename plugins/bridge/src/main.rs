//! The `bridge` CNI plugin.

cni_plugin::main!(bridge::Bridge);
