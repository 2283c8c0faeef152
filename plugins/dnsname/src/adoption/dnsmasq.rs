//! The server that the other plugin has started for a network, and the rule that let containers ask it.

use std::fs;
use std::io;
use std::path::Path;

use iptables::Interface;
use names::process;
use rustix::io::Errno;

use super::Failure;

pub(super) const CONFIG: &str = "dnsmasq.conf";
pub(super) const PID: &str = "pidfile";

/// The most that a file of the server may have, in bytes.
const LIMIT: usize = 64 << 10;

/// Stops the server, if what has its process id is a dnsmasq with that folder's configuration.
pub(super) fn stop(folder: &Path) -> Result<(), Failure> {
    let Some(pid) = text(folder, PID)?.and_then(|text| text.trim().parse().ok()) else { return Ok(()) };
    let ended = process::end(pid, || is_dnsmasq_with(pid, &folder.join(CONFIG)));
    ended.map(drop).map_err(|reason| Failure::Process { pid, reason })
}

/// A process that has ended meanwhile is none.
fn is_dnsmasq_with(pid: i32, config: &Path) -> io::Result<bool> {
    let words = match fs::read(format!("/proc/{pid}/cmdline")) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) =>
        {
            return Ok(false);
        }
        words => words?,
    };
    let mut words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let is_dnsmasq = words.next().is_some_and(|program| program.rsplit('/').next() == Some("dnsmasq"));
    let wanted = format!("--conf-file={}", config.display());
    Ok(is_dnsmasq && words.any(|word| word == wanted))
}

/// Removes the rule by which the host accepted questions from the bridge: a server on port 53 of the host is no longer needed.
pub(super) fn close_port(folder: &Path) -> Result<(), Failure> {
    let config = text(folder, CONFIG)?.unwrap_or_default();
    let bridge = config.lines().find_map(|line| line.trim().strip_prefix("interface="));
    match bridge.map(Interface::new) {
        Some(Ok(bridge)) => Ok(iptables::dnsname::remove(&bridge)?),
        _ => Ok(()),
    }
}

fn text(folder: &Path, name: &str) -> Result<Option<String>, Failure> {
    let path = folder.join(name);
    match files::read(&path, LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(Failure::File { action: "read", path, reason }),
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
    }
}
