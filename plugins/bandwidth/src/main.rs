//! The `bandwidth` CNI plugin.

suite::main!(bandwidth::Bandwidth);
