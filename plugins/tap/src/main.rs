//! The `tap` CNI plugin.

cni_plugin::main!(tap::Tap);
