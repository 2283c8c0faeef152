//! The `firewall` CNI plugin.

suite::main!(firewall::Firewall);
