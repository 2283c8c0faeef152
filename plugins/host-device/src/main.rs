//! The `host-device` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<host_device::HostDevice>()
}
