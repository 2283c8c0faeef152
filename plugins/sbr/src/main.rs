//! The `sbr` CNI plugin.

suite::main!(sbr::Sbr);
