//! The `host` CNI plugin.

cni_plugin::main!(host::Host);
