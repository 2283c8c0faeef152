//! The `tap` CNI plugin.

suite::main!(tap::Tap);
