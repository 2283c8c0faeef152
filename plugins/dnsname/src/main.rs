//! The `dnsname` CNI plugin.

suite::main!(dnsname::Dnsname);
