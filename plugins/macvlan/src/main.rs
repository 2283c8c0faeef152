//! The `macvlan` CNI plugin.

cni_plugin::main!(macvlan::Macvlan);
