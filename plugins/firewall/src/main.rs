//! The `firewall` CNI plugin.

cni_plugin::main!(firewall::Firewall);
