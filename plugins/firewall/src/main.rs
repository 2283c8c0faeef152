//! The `firewall` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<firewall::Firewall>()
}
