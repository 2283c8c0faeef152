//! The `dummy` CNI plugin.

cni_plugin::main!(dummy::Dummy);
