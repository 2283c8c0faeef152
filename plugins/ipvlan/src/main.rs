//! The `ipvlan` CNI plugin.

suite::main!(ipvlan::Ipvlan);
