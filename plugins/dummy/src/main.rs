//! The `dummy` CNI plugin.

suite::main!(dummy::Dummy);
