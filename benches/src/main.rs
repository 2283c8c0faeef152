//! Measures ferrocni against the Go reference suite and prints one table.
//!
//! Each side has a throw-away host (network and mount namespace, `/run` and `/var/lib` in memory); this host's links,
//! rules and sysctls are not touched. Plugins are started as a runtime starts them: a process each, from before the
//! start to after its end. The sides take turns within a round, and a ratio is the median of the rounds' own ratios.

mod error;
mod footprint;
mod host;
mod lane;
mod machine;
mod networks;
mod options;
mod parallel;
mod report;
mod scale;
mod statistics;
mod suite;
mod table;
mod waiting;

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::options::{Options, Task};
use crate::suite::Suite;

/// How to read the table, and how to get it again.
const METHOD: &str = "
times:     one process a plugin, start to end; the sides in turn; median (quartiles); ratio = median
           of the rounds' ratios; one container is there already; /run and /var/lib/cni in memory
repeat:    scripts/bench.sh (as root; --help says more)

";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        eprintln!("bench: {error}{cause}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    match options::parse(std::env::args_os().skip(1).collect())? {
        Task::Help => print(options::HELP)?,
        Task::PeakMemory { report, program } => return footprint::watch(&report, &program),
        Task::Bench(options) => bench(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn bench(options: &Options) -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err(Error::NotRoot);
    }
    let program = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    let ours = options.ours.as_deref().or(program.parent()).unwrap_or(&program);
    let programs = if options.ipvlan { &networks::IPVLAN_PROGRAMS[..] } else { &networks::PROGRAMS };
    let sides = [Suite::open(ours, programs)?, Suite::open(&options.theirs, programs)?];
    print(&machine::describe(ours, &options.theirs)?)?;
    print(METHOD)?;
    print(&report::measure(&sides, options)?.to_string())
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::file("stdout"))
}
