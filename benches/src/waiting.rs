//! How much of a DEL is the kernel's own waiting.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lane::Lane;
use crate::networks;
use crate::statistics::Summary;
use crate::suite::{Launcher, Suite};

/// A call that takes longer than this, in seconds, is counted as waiting: `strace` alone makes each call last a tenth.
const SHORTEST: f64 = 0.001;

/// Seconds that a DEL of (b) is blocked in `close`, `sendto` and `sendmsg`, seen in passes of their own under `strace`.
pub(crate) fn blocked_in_del(suite: &Suite, passes: usize) -> Result<Summary> {
    let lane = Lane::new(suite, networks::published())?;
    let blocked: Vec<f64> = (0..passes).map(|pass| one_pass(&lane, pass)).collect::<Result<_>>()?;
    Summary::of(&blocked).ok_or(Error::NothingMeasured)
}

fn one_pass(lane: &Lane, pass: usize) -> Result<f64> {
    let report = Path::new("/run/strace");
    let probe = lane.probe(pass);
    let result = lane.add(lane.suite(), &probe)?.outcome;
    lane.del(&lane.suite().with(Launcher::Strace(report.into())), &probe, &result)?;
    lane.host.run(|| {
        let trace = fs::read_to_string(report).map_err(Error::file(report))?;
        fs::remove_file(report).map_err(Error::file(report))?;
        Ok(time_blocked(&trace))
    })
}

/// Adds up the calls of a trace made with `strace -T` that were long enough to be waiting.
fn time_blocked(trace: &str) -> f64 {
    let seconds = |line: &str| line.trim_end().strip_suffix('>')?.rsplit_once('<')?.1.parse::<f64>().ok();
    trace.lines().filter_map(seconds).filter(|seconds| *seconds >= SHORTEST).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_of_long_calls_is_added_up() {
        let trace = "12 sendto(3, [{}], 4) = 4 <0.010000>\n12 close(3) = 0 <0.000099>\n12 <... close resumed>) = 0 <0.020000>\n";
        assert!((time_blocked(trace) - 0.03).abs() < 1e-9);
    }

    #[test]
    fn lines_without_a_time_count_nothing() {
        assert!(time_blocked("12 close(3 <unfinished ...>\n12 +++ exited with 0 +++\n").abs() < 1e-9);
    }
}
