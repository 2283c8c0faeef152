//! The DNS server of containers' names.

fn main() -> std::process::ExitCode {
    ferrocni_dns::main()
}
