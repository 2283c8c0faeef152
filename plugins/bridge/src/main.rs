//! The `bridge` CNI plugin.

suite::main!(bridge::Bridge);
