//! The `none` CNI plugin.

cni_plugin::main!(none::NoNetwork);
