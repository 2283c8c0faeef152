//! The `loopback` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<loopback::Loopback>()
}
