//! Signals that are passed on to the program.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;

use crate::proc;

/// Those that a program is told something by.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
/// Those that mean that it should end.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
/// `si_code` of what the kernel itself sends, such as a terminal's Ctrl-C (`SI_KERNEL` of siginfo.h).
const BY_KERNEL: i32 = 0x80;

/// The signals that this process has got, instead of what they would do to it.
#[derive(Debug)]
pub(super) struct Signals(SignalsInfo<WithRawSiginfo>);

impl Signals {
    /// From now on. What is ignored stays so (`nohup`), for the program as well.
    pub(super) fn new() -> io::Result<Self> {
        let ignored = ignored()?;
        let is_ignored = |signal: &Signal| ignored & (1 << (*signal as u32 - 1)) != 0;
        let wanted = PASSED_ON.into_iter().filter(|signal| !is_ignored(signal)).chain([Signal::SIGCHLD]);
        Ok(Self(SignalsInfo::new(wanted.map(|signal| signal as i32))?))
    }

    /// The first of those that came and mean that everything should end.
    pub(super) fn ending(&mut self) -> Option<Signal> {
        let came = self.0.pending().filter_map(|signal| Signal::try_from(signal.si_signo).ok());
        came.filter(|signal| ENDING.contains(signal)).last()
    }

    /// Waits for signals, among them that a child has ended, and passes them on to a process. Those of a terminal have reached it already
    /// where it is in the same process group.
    pub(super) fn pass_on(&mut self, to: Pid, in_same_group: bool) {
        for signal in self.0.wait() {
            let has_it = in_same_group && signal.si_code == BY_KERNEL;
            match Signal::try_from(signal.si_signo) {
                Ok(signal) if signal != Signal::SIGCHLD && !has_it => {
                    // It may have ended, which the next look at it tells.
                    let _ = kill(to, signal);
                }
                _ => {}
            }
        }
    }
}

/// The signals that this process ignores, a bit for each (proc(5)).
fn ignored() -> io::Result<u64> {
    let status = proc::read("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    Ok(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
}

/// As shells have it: 128 and the number of the signal that ended a program.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}
