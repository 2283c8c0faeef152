//! The `ptp` CNI plugin.

suite::main!(ptp::Ptp);
