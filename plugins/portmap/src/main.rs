//! The `portmap` CNI plugin.

suite::main!(portmap::Portmap);
