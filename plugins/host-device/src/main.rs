//! The `host-device` CNI plugin.

suite::main!(host_device::HostDevice);
