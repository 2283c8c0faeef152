//! The `ipvlan` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<ipvlan::Ipvlan>()
}
