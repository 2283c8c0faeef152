//! The container's first process, in the hands of the supervisor. What it does itself is in the module `init`.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, setns, unshare};

use super::{NOT_RUN, init, step};
use crate::failure::Failure;

/// A first process, and what it is told and tells until it has started the program.
#[derive(Debug)]
pub(super) struct FirstProcess {
    pub(super) process: Child,
    /// It waits for a byte, and ends if there comes none.
    go: PipeWriter,
    /// It says a dot when it is there, and another one when it has started the program, or why it could not.
    told: PipeReader,
}

/// Where what the program says goes.
#[derive(Debug)]
pub(super) enum Output {
    /// As what the supervisor says, with the same input.
    Own,
    /// Into this pipe, without input.
    Kept(PipeWriter),
}

/// It does not get as far as the program.
#[derive(Debug, thiserror::Error)]
enum FirstProcessError {
    #[error("the container's first process ended before it could start the program")]
    Ended,
    #[error("{0}")]
    Program(String),
}

impl FirstProcess {
    /// Starts it for the container with that folder. `leads_group`: what is typed on the terminal does not reach it.
    pub(super) fn start(folder: &Path, output: Output, leads_group: bool) -> Result<Self, Failure> {
        let ((waiting, go), (told, telling)) =
            io::pipe().and_then(|go| Ok((go, io::pipe()?))).map_err(step("make a pipe"))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(init::NAME).arg(folder);
        command.args([waiting.as_raw_fd().to_string(), telling.as_raw_fd().to_string()]);
        if let Output::Kept(writing) = output {
            let another = writing.try_clone().map_err(step("keep what the program says"))?;
            command.stdin(Stdio::null()).stdout(another).stderr(writing);
        }
        if leads_group {
            command.process_group(0);
        }
        pass_on(&waiting).and_then(|()| pass_on(&telling)).map_err(step("pass a pipe on"))?;
        let process = in_new_pid_namespace(&mut command).map_err(step("start the container's first process"))?;
        Ok(Self { process, go, told })
    }

    /// Lets it start the program, and waits until it has.
    pub(super) fn start_program(&mut self) -> Result<(), Failure> {
        // If it has ended, what it has told says so.
        let _ = self.go.write_all(b".");
        let mut told = String::new();
        self.told.read_to_string(&mut told).map_err(step("hear of the program"))?;
        if told == ".." {
            return Ok(());
        }
        let failed = told.strip_prefix('.').and_then(|told| told.split_once(' '));
        let (status, reason) = failed.ok_or(FirstProcessError::Ended)?;
        let status = status.parse().unwrap_or(NOT_RUN);
        Err(Failure::from(FirstProcessError::Program(reason.to_owned())).with_status(status))
    }

    /// Ends it, unless it has ended by itself.
    pub(super) fn end(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// To the program that is started next.
fn pass_on(file: impl AsFd) -> io::Result<()> {
    Ok(fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)?)
}

/// The child is the first process of a new namespace of process ids; other children of this process are not in it.
fn in_new_pid_namespace(command: &mut Command) -> io::Result<Child> {
    let own = File::open("/proc/self/ns/pid")?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    let child = command.spawn();
    setns(own, CloneFlags::CLONE_NEWPID)?;
    child
}
