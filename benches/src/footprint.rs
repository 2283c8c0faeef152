//! Memory and file sizes of the plugins.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::resource::{UsageWho, getrusage};

use crate::error::{Error, Result};
use crate::lane::Lane;
use crate::networks;
use crate::suite::{Launcher, Network, Suite};

/// The largest resident set, in bytes, that each plugin of the chains had in ADD, CHECK and DEL.
pub(crate) fn peak_memory(suite: &Suite) -> Result<Vec<(&'static str, u64)>> {
    let chains = [
        networks::published(),
        networks::addresses("bench-memory"),
        networks::loopback(),
        networks::tuning(),
        networks::bandwidth(),
        networks::sbr(),
        networks::named_address(),
    ];
    let mut peaks = Vec::new();
    for program in networks::PROGRAMS {
        let chain = chains.iter().find(|chain| chain.plugins.iter().any(|plugin| plugin["type"] == program));
        if let Some(chain) = chain {
            peaks.push((program, peak_in(suite, chain, program)?));
        }
    }
    Ok(peaks)
}

/// Runs the three verbs of `chain` and keeps the peak of `program` alone.
fn peak_in(suite: &Suite, chain: &Network, program: &str) -> Result<u64> {
    let lane = Lane::new(suite, chain.clone())?;
    let report = Path::new("/run/peak-memory");
    let watched = suite.with(Launcher::PeakMemory(report.into()));
    let probe = lane.probe(0);
    let result = lane.add(&watched, &probe)?.outcome;
    lane.check(&watched, &probe, &result)?;
    lane.del(&watched, &probe, &result)?;
    let text = lane.host.run(|| fs::read_to_string(report).map_err(Error::file(report)))?;
    Ok(largest(&text, program))
}

/// The largest figure that a report's lines (`<bytes> <program>`) give for `program`.
fn largest(report: &str, program: &str) -> u64 {
    let figures = report.lines().filter_map(|line| line.split_once(' ')).filter(|(_, name)| *name == program);
    figures.filter_map(|(bytes, _)| bytes.parse().ok()).max().unwrap_or(0)
}

/// Runs `program` and appends its peak to `report`: a process of its own, because the kernel counts what the parent
/// had resident when the plugin was started, and because it keeps one peak for all of a process's children.
pub(crate) fn watch(report: &Path, program: &OsString) -> Result<ExitCode> {
    let status = Command::new(program).status().map_err(Error::file(program))?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Error::system("getrusage"))?;
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let mut text = fs::read_to_string(report).unwrap_or_default();
    text.push_str(&format!("{} {name}\n", usage.max_rss() * 1024));
    fs::write(report, text).map_err(Error::file(report))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The sizes of the plugins' files in bytes.
pub(crate) fn sizes(suite: &Suite) -> Result<Vec<(&'static str, u64)>> {
    let size = |program| {
        let path = suite.path(program);
        let metadata = fs::metadata(&path).map_err(Error::file(&path))?;
        Ok((program, metadata.len()))
    };
    networks::PROGRAMS.into_iter().map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_takes_the_peak_of_the_named_program_only() {
        assert_eq!(largest("100 bridge\n300 portmap\n200 bridge\n", "bridge"), 200);
        assert_eq!(largest("", "bridge"), 0);
    }
}
