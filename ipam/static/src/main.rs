//! The `static` CNI plugin.

suite::main!(static_ipam::Static);
