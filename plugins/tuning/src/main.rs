//! The `tuning` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<tuning::Tuning>()
}
