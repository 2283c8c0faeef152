//! The `static` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<static_ipam::Static>()
}
