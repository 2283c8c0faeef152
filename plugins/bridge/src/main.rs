//! The `bridge` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<bridge::Bridge>()
}
