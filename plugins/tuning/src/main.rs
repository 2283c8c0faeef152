//! The `tuning` CNI plugin.

suite::main!(tuning::Tuning);
