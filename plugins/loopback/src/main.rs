//! The `loopback` CNI plugin.

suite::main!(loopback::Loopback);
