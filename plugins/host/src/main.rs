//! The `host` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<host::Host>()
}
