//! The `macvlan` CNI plugin.

suite::main!(macvlan::Macvlan);
