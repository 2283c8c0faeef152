//! The `vlan` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<vlan::Vlan>()
}
