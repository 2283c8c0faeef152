//! The `vlan` CNI plugin.

suite::main!(vlan::Vlan);
