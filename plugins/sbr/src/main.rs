//! The `sbr` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<sbr::Sbr>()
}
