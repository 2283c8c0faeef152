//! The `host-local` executable.
suite::main!(host_local::HostLocal);
