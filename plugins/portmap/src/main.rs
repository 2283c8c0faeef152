//! The `portmap` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<portmap::Portmap>()
}
