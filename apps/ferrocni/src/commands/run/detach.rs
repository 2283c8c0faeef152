//! `--detach`: the supervisor runs on in the background.

use std::env;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::{dup2_stderr, dup2_stdout, setsid};

use super::NOT_RUN;
use super::signals::exit_code;
use crate::failure::Failure;
use crate::output::print;

/// Starts the supervisor, which does not end with this process, and waits until it has started the program. Until then what it has
/// to say goes to stderr.
pub(super) fn start() -> Result<ExitCode, Failure> {
    let mut supervisor = Command::new("/proc/self/exe")
        .arg("--supervisor")
        .args(env::args_os().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut id = String::new();
    if let Some(stdout) = &mut supervisor.stdout {
        stdout.read_to_string(&mut id)?;
    }
    if id.is_empty() {
        return Ok(match exit_code(supervisor.wait()?) {
            0 => ExitCode::from(NOT_RUN),
            code => ExitCode::from(code),
        });
    }
    print(id)?;
    Ok(ExitCode::SUCCESS)
}

/// No terminal's end is this process' end.
pub(super) fn leave_session() -> io::Result<()> {
    setsid().map(drop).map_err(io::Error::from)
}

/// Tells the process in the foreground that the program has been started, and lets go of its terminal.
pub(super) fn announce(id: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{id}")?;
    stdout.flush()?;
    let nothing = File::options().write(true).open("/dev/null")?;
    dup2_stdout(&nothing).and_then(|()| dup2_stderr(&nothing)).map_err(io::Error::from)
}
