//! The `sbr` CNI plugin.

cni_plugin::main!(sbr::Sbr);
