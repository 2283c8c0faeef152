//! Measures ferrocni against the Go reference suite and prints one table.
//!
//! Each side has a throw-away host (network and mount namespace, `/run` and `/var/lib` in memory); this host's links,
//! rules and sysctls are not touched. Plugins are started as a runtime starts them: a process each, from before the
//! start to after its end. The sides take turns within a round, and a ratio is the median of the rounds' own ratios.

mod command;
mod error;
mod footprint;
mod host;
mod lane;
mod machine;
mod names;
mod netavark;
mod networks;
mod options;
mod overlay;
mod packets;
mod parallel;
mod report;
mod scale;
mod statistics;
mod suite;
mod table;
mod waiting;

use std::error::Error as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::netavark::Program;
use crate::options::{Options, Task};
use crate::suite::Suite;

/// Where both sides' plugins are copied to: a linker leaves its output in the page cache in single pages, and each costs a
/// process a fault; what an operator has installed lies in larger ones. A file system in memory would be another difference.
const INSTALLED: &str = "/var/tmp";

/// How to read the table, and how to get it again.
const METHOD: &str = "
times:     one process a plugin, start to end; the sides in turn; median (quartiles); ratio = median
           of the rounds' ratios; one container is there already; /run and /var/lib/cni in memory;
           both sides' plugins copied to /var/tmp, as an installation does
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
    if options.names {
        return bench_names(ours, options);
    }
    if options.command {
        return bench_command(ours, options);
    }
    if let Some(usr) = &options.netavark {
        return bench_netavark(ours, usr, options);
    }
    if options.overlay || options.overlay_scale {
        return bench_overlay(ours, options);
    }
    let programs = if options.ipvlan { &networks::IPVLAN_PROGRAMS[..] } else { &networks::PROGRAMS };
    let installed = tempfile::tempdir_in(INSTALLED).map_err(Error::file(INSTALLED))?;
    let install = |name, from: &Path| Suite::install(from, programs, &installed.path().join(name));
    let sides = [install("ours", ours)?, install("reference", &options.theirs)?];
    print(&machine::describe(ours, &options.theirs)?)?;
    print(METHOD)?;
    print(&report::measure(&sides, options)?.to_string())
}

fn bench_names(ours: &Path, options: &Options) -> Result<()> {
    let installed = tempfile::tempdir_in(INSTALLED).map_err(Error::file(INSTALLED))?;
    let install = |name, from: &Path, programs| Suite::install(from, programs, &installed.path().join(name));
    let ours = install("ours", ours, &networks::NAMES_PROGRAMS[..])?;
    let theirs = install("reference", &options.theirs, &networks::OTHER_NAMES_PROGRAMS)?;
    print(&report::measure_names(ours, &theirs, options)?.to_string())
}

fn bench_command(ours: &Path, options: &Options) -> Result<()> {
    let installed = tempfile::tempdir_in(INSTALLED).map_err(Error::file(INSTALLED))?;
    let programs = installed.path().join("ours");
    Suite::install(ours, &networks::COMMAND_PROGRAMS, &programs)?;
    print(&command::measure(&programs, options)?.to_string())
}

fn bench_overlay(ours: &Path, options: &Options) -> Result<()> {
    let installed = tempfile::tempdir_in(INSTALLED).map_err(Error::file(INSTALLED))?;
    let ours = Suite::install(ours, &overlay::PROGRAMS, &installed.path().join("ours"))?;
    let table =
        if options.overlay { report::measure_overlay(&ours, options)? } else { report::measure_many(&ours, options)? };
    print(&table.to_string())
}

/// Debian's is executed where it is, with its libraries; the page cache has read ours from a linker's output.
fn bench_netavark(ours: &Path, usr: &Path, options: &Options) -> Result<()> {
    let installed = tempfile::tempdir_in(INSTALLED).map_err(Error::file(INSTALLED))?;
    let ours = Suite::install(ours, &["netavark"], &installed.path().join("ours"))?.path("netavark");
    let theirs = usr.join("lib/podman/netavark");
    if !theirs.is_file() {
        return Err(Error::NoPlugin { path: theirs });
    }
    let sides = [Program::Ours(ours), Program::Debian(usr.to_owned())];
    print(&report::measure_netavark(&sides, options)?.to_string())
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::file("stdout"))
}
