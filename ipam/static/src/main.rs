//! The `static` CNI plugin.

cni_plugin::main!(static_ipam::Static);
