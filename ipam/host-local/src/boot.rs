//! Which boot of this host it is, and since when: what was reserved before it belongs to no container any more.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

/// What the kernel says of this boot; every `None` means that nothing can be proved.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How much older than the boot a reservation has to be: file times are coarse, and clocks are corrected a little.
const MARGIN: Duration = Duration::from_secs(60);

/// The kernel's name for this boot (proc_sys_kernel(5)), another one after every restart. `None` if it cannot be known now,
/// for whatever reason: a runtime may not see that file at all (`ProcSubset=pid`, a chroot), or the host has no file
/// descriptor left. That says nothing of the boot, and so it must not be compared with anything.
pub(crate) fn id() -> Option<String> {
    read_id().ok().filter(|id| !id.is_empty())
}

/// One read gives all of it.
fn read_id() -> io::Result<String> {
    let mut line = [0; 64];
    let length = File::open(BOOT_ID)?.read(&mut line)?;
    Ok(String::from_utf8_lossy(&line[..length]).trim().to_owned())
}

/// The time before which nothing can have been written in this boot.
///
/// The kernel only knows how long it has been up, and subtracts that from the clock of this moment (`btime` in
/// /proc/stat). If the clock was set forward since, say by NTP on a machine without a battery or after a virtual machine's
/// snapshot was restored, the difference is too late, and containers of this boot would seem to come from before it. So a
/// witness who saw the clock of the boot's own beginning is asked as well, and the earlier answer counts: the kernel makes
/// /dev/null (devtmpfs) before it starts the first process.
pub(crate) fn earliest() -> Option<SystemTime> {
    let computed = parse_btime(&std::fs::read_to_string("/proc/stat").ok()?)?;
    let witnessed = std::fs::symlink_metadata("/dev/null").ok()?.modified().ok()?;
    computed.min(witnessed).checked_sub(MARGIN)
}

fn parse_btime(stat: &str) -> Option<SystemTime> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_is_before_now() {
        assert!(earliest().unwrap() < SystemTime::now());
        assert_eq!(id().unwrap().len(), 36);
    }

    #[test]
    fn btime_is_found_in_proc_stat() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(parse_btime("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(expected));
        assert_eq!(parse_btime("cpu 1 2\n"), None);
    }
}
