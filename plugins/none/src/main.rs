//! The `none` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<none::NoNetwork>()
}
