//! The `vrf` CNI plugin.

suite::main!(vrf::Vrf);
