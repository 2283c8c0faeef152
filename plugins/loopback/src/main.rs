//! The `loopback` CNI plugin.

cni_plugin::main!(loopback::Loopback);
