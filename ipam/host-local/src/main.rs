//! The `host-local` executable.
fn main() -> std::process::ExitCode {
    cni_plugin::run::<host_local::HostLocal>()
}
