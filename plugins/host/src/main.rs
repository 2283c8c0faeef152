//! The `host` CNI plugin.

suite::main!(host::Host);
