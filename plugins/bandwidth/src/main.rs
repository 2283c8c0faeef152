//! The `bandwidth` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<bandwidth::Bandwidth>()
}
