//! A link with a DHCP server, and the daemon that keeps leases.

use std::thread;
use std::time::{Duration, Instant};

use crate::binaries::bin_dir;
use crate::command::{Background, Inside as _};
use crate::host::Host;

/// Longer than anything of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const LEASES: &str = "/run/dnsmasq.leases";
const SERVER_LOG: &str = "/run/dnsmasq.log";
const DAEMON_LOG: &str = "/run/dhcp.log";
const DAEMON_PID: &str = "/run/dhcp.pid";

/// What dnsmasq gives unless it is told otherwise: IPv4 and IPv6, for an hour.
pub const RANGES: [&str; 2] =
    ["--dhcp-range=10.5.0.10,10.5.0.250,255.255.255.0,1h", "--dhcp-range=fd00:5::1:0,fd00:5::1:ffff,64,1h"];

/// Makes a bridge `lan` of the host with 10.5.0.1/24 and fd00:5::1/64, on which [`serve`] serves.
pub fn make_lan(host: &Host) {
    host.shell(
        "ip link add lan type bridge
         ip addr add 10.5.0.1/24 dev lan; ip addr add fd00:5::1/64 dev lan nodad
         ip link set lan up",
    );
}

/// Starts dnsmasq as a server of DHCP on `lan`, with these options, [`RANGES`] for instance.
#[must_use]
pub fn start_server(host: &Host, options: &[&str]) -> Background {
    start_server_on(host, "lan", options)
}

/// The same on another link.
#[must_use]
pub fn start_server_on(host: &Host, link: &str, options: &[&str]) -> Background {
    let usual = "--conf-file=/dev/null --keep-in-foreground --user=root --port=0 --no-ping --no-hosts --log-dhcp \
                 --bind-interfaces --dhcp-authoritative --pid-file=/run/dnsmasq.pid";
    let files =
        [format!("--interface={link}"), format!("--log-facility={SERVER_LOG}"), format!("--dhcp-leasefile={LEASES}")];
    host.write(SERVER_LOG, "");
    let mut argv: Vec<&str> = vec!["dnsmasq"];
    argv.extend(usual.split_whitespace());
    argv.extend(files.iter().map(String::as_str));
    argv.extend(options);
    host.spawn(argv)
}

/// Waits until [`start_server`]'s server listens.
#[track_caller]
pub fn wait_for_server(host: &Host) {
    eventually("dnsmasq listens", || server_log(host).contains("sockets bound exclusively to interface"));
}

/// Starts dnsmasq and waits until it listens.
#[must_use]
#[track_caller]
pub fn serve(host: &Host, options: &[&str]) -> Background {
    let server = start_server(host, options);
    wait_for_server(host);
    server
}

/// Starts the daemon under test with these flags.
#[must_use]
pub fn start_daemon(host: &Host, flags: &[&str]) -> Background {
    let dhcp = bin_dir().join("dhcp");
    let exists = dhcp.exists();
    assert!(exists, "{} is missing: build the workspace (cargo build) first", dhcp.display());
    let line = format!("exec {} daemon -pidfile {DAEMON_PID} {} 2>>{DAEMON_LOG}", dhcp.display(), flags.join(" "));
    host.shell(&format!("rm -f {DAEMON_PID}"));
    host.spawn(["sh", "-c", &line])
}

/// Waits until [`start_daemon`]'s daemon listens: it writes its process id after that.
#[track_caller]
pub fn wait_for_daemon(host: &Host) {
    eventually("the daemon listens", || host.read(DAEMON_PID).is_ok_and(|pid| !pid.is_empty()));
    // The reference listens after it.
    host.shell("until [ -e /run/cni/dhcp.sock ] || [ ! -e /proc/$(cat /run/dhcp.pid)/exe ]; do sleep 0.01; done");
}

/// Starts the daemon and waits until it listens.
#[must_use]
#[track_caller]
pub fn daemon(host: &Host, flags: &[&str]) -> Background {
    let daemon = start_daemon(host, flags);
    wait_for_daemon(host);
    daemon
}

/// What dnsmasq has said since it was started.
#[must_use]
pub fn server_log(host: &Host) -> String {
    host.read(SERVER_LOG).unwrap_or_default()
}

/// The log of all DHCP daemons on the host so far.
#[must_use]
pub fn daemon_log(host: &Host) -> String {
    host.read(DAEMON_LOG).unwrap_or_default()
}

/// The lines of dnsmasq's leases: end, hardware address (or IAID), address, name, client identifier.
#[must_use]
pub fn leases(host: &Host) -> Vec<String> {
    let leases = host.read(LEASES).unwrap_or_default();
    leases.lines().filter(|line| !line.starts_with("duid")).map(ToOwned::to_owned).collect()
}

/// Waits for what comes by itself.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "within {PATIENCE:?} this did not become true: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
