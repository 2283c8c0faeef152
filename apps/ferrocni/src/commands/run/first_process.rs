//! The container's first process, in the hands of the supervisor. What it does itself is in the module `init`.
//!
//! They talk over two pipes:
//! 1. It is told whether it has a network namespace of its own: [`OWN_NETWORK`] or [`HOSTS_NETWORK`].
//! 2. It says that it has it: [`READY`].
//! 3. It is told the container's folder, in a line, and makes what the program sees.
//! 4. It is told that the container is attached and its files are there: [`READY`].
//! 5. It says that it has started the program: [`READY`].
//!
//! In place of what it would say it may say what it cannot do, `STATUS REASON`, and ends.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use netlink::Netns;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{NOT_RUN, init, step};
use crate::failure::Failure;

pub(super) const OWN_NETWORK: u8 = b'n';
pub(super) const HOSTS_NETWORK: u8 = b'h';
pub(super) const READY: u8 = b'.';

/// A first process. It starts while its supervisor finds out what for, and what it does by itself it does while the container is attached.
#[derive(Debug)]
pub(super) struct FirstProcess {
    process: Child,
    to: PipeWriter,
    from: PipeReader,
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
    /// `leads_group`: what is typed on the terminal does not reach it.
    pub(super) fn start(output: Output, leads_group: bool) -> Result<Self, Failure> {
        let ((its_from, to), (from, its_to)) =
            io::pipe().and_then(|to| Ok((to, io::pipe()?))).map_err(step("make a pipe"))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(init::NAME).args([its_from.as_raw_fd().to_string(), its_to.as_raw_fd().to_string()]);
        if let Output::Kept(writing) = output {
            let another = writing.try_clone().map_err(step("keep what the program says"))?;
            command.stdin(Stdio::null()).stdout(another).stderr(writing);
        }
        if leads_group {
            command.process_group(0);
        }
        pass_on(&its_from).and_then(|()| pass_on(&its_to)).map_err(step("pass a pipe on"))?;
        let process = in_new_pid_namespace(&mut command).map_err(step("start the container's first process"))?;
        Ok(Self { process, to, from })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Has it make the container's network namespace, if there is to be one.
    pub(super) fn begin(&mut self, shares_host: bool) {
        self.tell(&[if shares_host { HOSTS_NETWORK } else { OWN_NETWORK }]);
    }

    /// Waits until it is in its network namespace, in which `lo` is up.
    pub(super) fn wait_for_netns(&mut self) -> Result<(), Failure> {
        self.expect_ready()
    }

    /// That namespace.
    pub(super) fn netns(&mut self) -> Result<Netns, Failure> {
        let process = pidfd_open(Pid::from_child(&self.process), PidfdFlags::empty())
            .map_err(step("find the container's first process"))?;
        match Netns::of_process(process) {
            Err(_) if self.status()?.is_some() => Err(FirstProcessError::Ended.into()),
            netns => Ok(netns?),
        }
    }

    /// Has it make what the program of the container with that folder sees.
    pub(super) fn prepare(&mut self, folder: &Path) {
        self.tell(&[folder.as_os_str().as_bytes(), b"\n"].concat());
    }

    /// Lets it start the program, and waits until it has.
    pub(super) fn start_program(&mut self) -> Result<(), Failure> {
        self.tell(&[READY]);
        self.expect_ready()
    }

    /// How it has ended, if it has.
    pub(super) fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Ends it, unless it has ended by itself.
    pub(super) fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn tell(&mut self, what: &[u8]) {
        // If it has ended, what it has told says so.
        let _ = self.to.write_all(what);
    }

    fn expect_ready(&mut self) -> Result<(), Failure> {
        let mut first = [0];
        match self.from.read_exact(&mut first) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(FirstProcessError::Ended.into()),
            outcome => outcome.map_err(step("hear of the container's first process"))?,
        }
        if first == [READY] {
            return Ok(());
        }
        let mut told = String::from_utf8_lossy(&first).into_owned();
        self.from.read_to_string(&mut told).map_err(step("hear of the container's first process"))?;
        let (status, reason) = told.split_once(' ').ok_or(FirstProcessError::Ended)?;
        let status = status.parse().unwrap_or(NOT_RUN);
        Err(Failure::from(FirstProcessError::Program(reason.to_owned())).with_status(status))
    }
}

impl Drop for FirstProcess {
    fn drop(&mut self) {
        self.end();
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
