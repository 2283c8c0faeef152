//! The `ptp` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<ptp::Ptp>()
}
