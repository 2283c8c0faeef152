//! The `tap` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<tap::Tap>()
}
