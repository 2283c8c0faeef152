//! The `none` CNI plugin.

suite::main!(none::NoNetwork);
