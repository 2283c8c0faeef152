//! The `vrf` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<vrf::Vrf>()
}
