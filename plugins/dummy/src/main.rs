//! The `dummy` CNI plugin.

fn main() -> std::process::ExitCode {
    cni_plugin::run::<dummy::Dummy>()
}
