//! A real firewalld, on a bus of the host's own.

use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::{Background, Host, Inside as _};

/// The usual bus, but one that starts no services by itself.
const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
    <auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
    <allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#;

/// firewalld and its bus. They run until they are dropped.
#[derive(Debug)]
pub struct Daemons {
    _firewalld: Background,
    _bus: Background,
}

/// Starts both, and waits until firewalld answers.
///
/// # Panics
/// If there is none, or it does not start.
#[track_caller]
pub fn start(host: &Host) -> Daemons {
    host.shell("mount -t tmpfs none /var/log");
    start_again(host)
}

/// The same after they were dropped.
///
/// # Panics
/// As [`start`].
#[track_caller]
pub fn start_again(host: &Host) -> Daemons {
    assert!(fs::exists("/usr/sbin/firewalld").unwrap_or_default(), "install firewalld");
    host.write("/run/dbus/bus.conf", BUS);
    host.shell("rm -f /run/dbus/system_bus_socket");
    let bus = host.spawn(["dbus-daemon", "--config-file=/run/dbus/bus.conf", "--nofork", "--nopidfile"]);
    wait_until(|| host.run(["cat", "/proc/net/unix"]).contains("/run/dbus/system_bus_socket"));
    let firewalld = host.spawn(["/usr/sbin/firewalld", "--nofork", "--nopid"]);
    wait_until(|| host.try_run(["firewall-cmd", "--state"]).status.success());
    for zone in ["trusted", "internal"] {
        // firewalld makes a zone's chains when it is first used, and keeps them.
        for verb in ["add", "remove"] {
            host.run(["firewall-cmd", &format!("--zone={zone}"), &format!("--{verb}-source=192.0.2.200")]);
        }
    }
    Daemons { _firewalld: firewalld, _bus: bus }
}

/// What is bound to a zone, until firewalld reloads.
///
/// # Panics
/// If firewalld does not run.
#[must_use]
#[track_caller]
pub fn sources(host: &Host, zone: &str) -> Vec<String> {
    let listed = host.run(["firewall-cmd", &format!("--zone={zone}"), "--list-sources"]);
    listed.split_whitespace().map(str::to_owned).collect()
}

fn wait_until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "a daemon did not start");
        thread::sleep(Duration::from_millis(20));
    }
}
