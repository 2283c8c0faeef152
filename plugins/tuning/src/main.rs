//! The `tuning` CNI plugin.

cni_plugin::main!(tuning::Tuning);
