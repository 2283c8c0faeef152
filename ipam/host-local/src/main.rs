//! The `host-local` executable.
cni_plugin::main!(host_local::HostLocal);
