//! The `cluster` IPAM plugin.

suite::main!(cluster::Cluster);
