//! The `host-device` CNI plugin.

cni_plugin::main!(host_device::HostDevice);
