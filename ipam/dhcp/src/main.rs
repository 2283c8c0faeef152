//! The `dhcp` executable: the plugin and, called as `dhcp daemon`, the daemon that keeps its leases.
//!
//! Both have the C library's allocator, not that of [`suite::main!`]: the daemon reads what comes from the network, and
//! for the plugin, which waits for a server, there is nothing to gain.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("daemon") => dhcp::daemon::run(arguments),
        _ => cni_plugin::run::<dhcp::Dhcp>(&suite::SUITE),
    }
}
