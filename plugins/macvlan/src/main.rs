//! The `macvlan` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<macvlan::Macvlan>()
}
