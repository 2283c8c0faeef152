//! How much of a DEL is the kernel's own waiting.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lane::Lane;
use crate::networks;
use crate::statistics::Pairs;
use crate::suite::{Launcher, Suite};

/// The calls that a plugin waits in, and those that begin and end it.
pub(crate) const CALLS: &str = "trace=execve,close,sendto,sendmsg,exit_group";

/// A call that takes longer than this, in seconds, is counted as waiting: `strace` alone makes each call last a tenth.
const SHORTEST: f64 = 0.001;

/// What a trace says, in seconds.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    /// In calls that were long enough to be waiting.
    waiting: f64,
    /// From the start of each program to its end.
    whole: f64,
}

/// Seconds that a DEL of (b) is blocked in `close`, `sendto` and `sendmsg`, and those it takes in all, seen in passes
/// of their own under `strace`.
pub(crate) fn blocked_in_del(suite: &Suite, passes: usize) -> Result<Pairs> {
    let lane = Lane::new(suite, networks::published())?;
    let mut blocked = Pairs::default();
    for pass in 0..passes {
        let trace = one_pass(&lane, pass)?;
        blocked.push(trace.waiting, trace.whole);
    }
    Ok(blocked)
}

fn one_pass(lane: &Lane, pass: usize) -> Result<Trace> {
    let report = Path::new("/run/strace");
    let probe = lane.probe(pass);
    let result = lane.add(lane.suite(), &probe)?.outcome;
    lane.del(&lane.suite().with(Launcher::Strace(report.into())), &probe, &result)?;
    lane.host.run(|| {
        let text = fs::read_to_string(report).map_err(Error::file(report))?;
        fs::remove_file(report).map_err(Error::file(report))?;
        Ok(Trace::parse(&text))
    })
}

impl Trace {
    /// Reads what `strace -f -ttt -T` wrote: `<pid> <time> <call>(…) = <result> <<duration>>`.
    fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        let mut started = HashMap::new();
        for (pid, time, event) in text.lines().filter_map(split) {
            if event.starts_with("execve(") {
                started.insert(pid, time);
            } else if event.starts_with("+++ exited") {
                trace.whole += started.remove(pid).map_or(0.0, |start| time - start);
            } else {
                trace.waiting += duration(event).filter(|seconds| *seconds >= SHORTEST).unwrap_or(0.0);
            }
        }
        trace
    }
}

fn split(line: &str) -> Option<(&str, f64, &str)> {
    let (pid, rest) = line.split_once(' ')?;
    let (time, event) = rest.trim_start().split_once(' ')?;
    Some((pid, time.parse().ok()?, event))
}

fn duration(event: &str) -> Option<f64> {
    event.trim_end().strip_suffix('>')?.rsplit_once('<')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(measured: f64, expected: f64) {
        assert!((measured - expected).abs() < 1e-6, "{measured} is not {expected}");
    }

    #[test]
    fn only_the_time_of_long_calls_is_waiting() {
        let trace = Trace::parse(
            "12 1.000000 sendto(3, [{}], 4) = 4 <0.010000>\n12 1.1 close(3) = 0 <0.000099>\n\
             12  1.200000 <... close resumed>) = 0 <0.020000>\n",
        );
        assert_near(trace.waiting, 0.03);
    }

    #[test]
    fn each_program_lasts_from_its_start_to_its_end() {
        let trace = Trace::parse(
            "12 1.000000 execve(\"/a\", [\"/a\"], 0x1) = 0 <0.000200>\n13 1.010000 +++ exited with 0 +++\n\
             12 1.020000 exit_group(0) = ?\n12 1.030000 +++ exited with 0 +++\n\
             14 2.000000 execve(\"/b\", [\"/b\"], 0x1) = 0 <0.000200>\n14 2.005000 +++ exited with 0 +++\n",
        );
        assert_near(trace.whole, 0.035);
        assert_near(trace.waiting, 0.0);
    }

    #[test]
    fn lines_that_say_nothing_of_time_count_nothing() {
        assert_eq!(Trace::parse("12 1.0 close(3 <unfinished ...>\n\nstrace: something\n"), Trace::default());
    }
}
