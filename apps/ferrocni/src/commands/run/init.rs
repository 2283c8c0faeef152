//! The container's first process: it makes what the program sees, starts it, passes signals on to it, and reaps what it leaves.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};

use netlink::Socket;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Group, Pid, Uid, User, close, sethostname, tcsetpgrp};

use super::first_process::{OWN_NETWORK, READY};
use super::mounts;
use super::signals::{Signals, exit_code};
use super::{NOT_RUN, StepError, step};
use crate::container::{Program, Record};
use crate::failure::Failure;
use crate::proc;

/// What a process is called by its supervisor that is to be a container's first one.
pub(super) const NAME: &str = "ferrocni-init";

/// What it is started with.
#[derive(Debug)]
struct Args {
    /// The descriptor of the pipe from the supervisor.
    from: i32,
    /// The descriptor of the pipe to the supervisor.
    to: i32,
}

/// What a shell says of a program that is not there, and of one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// A program that cannot be started.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("cannot run {program}")]
    Program { program: String, source: io::Error },
    #[error("cannot change to {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("there is no {kind} {name:?}")]
    Unknown { kind: &'static str, name: String },
}

/// The whole of the first process, if this is to be one. The supervisor has the other ends of the pipes.
pub(crate) fn run() -> Option<ExitCode> {
    let args = Args::of_first_process(std::env::args_os())?;
    let started = supervisor(&args).and_then(|(from, mut to)| match start(from, &mut to) {
        Err(failure) => {
            let (status, reason) = (failure.status(), failure.to_string());
            write!(to, "{status} {reason}").and(Err(io::Error::other(reason)))
        }
        Ok(started) => Ok(started),
    });
    Some(ExitCode::from(match started {
        Ok((child, mut signals)) => exit_code(wait(&child, &mut signals)),
        Err(_) => NOT_RUN,
    }))
}

impl Args {
    /// By the name, and not by a command: it is waited for, and a table of all commands and their options takes as long to be built as all
    /// that it has to do.
    fn of_first_process(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        words.next().filter(|name| name == NAME)?;
        let mut descriptor = || words.next()?.into_string().ok()?.parse().ok();
        Some(Self { from: descriptor()?, to: descriptor()? })
    }
}

/// The pipes from it and to it.
fn supervisor(args: &Args) -> io::Result<(File, File)> {
    let from = open_passed(args.from, File::options().read(true))?;
    Ok((from, open_passed(args.to, File::options().write(true))?))
}

/// The descriptor that was passed, under a number that no program inherits.
fn open_passed(descriptor: i32, options: &OpenOptions) -> io::Result<File> {
    let pipe = options.open(proc::opened(&descriptor))?;
    close(descriptor)?;
    Ok(pipe)
}

fn start(from: File, to: &mut File) -> Result<(Child, Signals), Failure> {
    // Without its supervisor there is nobody who would clear up after the program.
    set_pdeathsig(Signal::SIGKILL).map_err(step("be ended with the supervisor"))?;
    let signals = Signals::new().map_err(step("get signals"))?;
    let mut from = BufReader::new(from);
    if hear(&mut from)? == OWN_NETWORK {
        enter_own_network()?;
    }
    tell_ready(to)?;
    // The namespace has its path now, which the program sees as well.
    let folder = hear_folder(&mut from).map_err(step("hear of the container"))?;
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    unshare(own).map_err(step("have mounts and a hostname of its own"))?;
    let record: Record = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
    mounts::make(&record)?;
    if let Some(hostname) = &record.hostname {
        sethostname(hostname).map_err(step("set the hostname"))?;
    }
    hear(&mut from)?;
    mounts::complete(&folder, &record)?;
    let child = spawn(&record.program)?;
    tell_ready(to)?;
    Ok((child, signals))
}

/// A network namespace that has nothing yet but `lo`, which is up.
fn enter_own_network() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(step("make a network namespace"))?;
    Ok(Socket::open().and_then(|mut inside| inside.batch().set_up("lo").send())?)
}

/// The next byte from the supervisor, which is waited for.
fn hear(from: &mut impl Read) -> Result<u8, StepError> {
    let mut byte = [0];
    from.read_exact(&mut byte).map_err(step("hear of the supervisor"))?;
    Ok(byte[0])
}

fn hear_folder(from: &mut impl BufRead) -> io::Result<PathBuf> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    // Without it the supervisor has ended, whatever it has said so far.
    line.pop_if(|last| *last == b'\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(OsString::from_vec(line).into())
}

fn tell_ready(to: &mut File) -> Result<(), StepError> {
    to.write_all(&[READY]).map_err(step("tell the supervisor"))
}

fn spawn(program: &Program) -> Result<Child, Failure> {
    if let Some(path) = &program.folder {
        std::env::set_current_dir(path).map_err(|source| InitError::Folder { path: path.clone(), source })?;
    }
    let Some((name, arguments)) = program.command.split_first() else { return Err("there is no program".into()) };
    let mut command = Command::new(name);
    command.args(arguments).envs(program.environment.iter().cloned());
    if let Some(user) = &program.user {
        become_user(&mut command, user)?;
    }
    if program.has_terminal {
        command.process_group(0);
    }
    let child = command.spawn().map_err(|source| not_run(name.to_string_lossy().into_owned(), source))?;
    if program.has_terminal {
        give_terminal(Pid::from_raw(i32::try_from(child.id())?))?;
    }
    Ok(child)
}

fn not_run(program: String, source: io::Error) -> Failure {
    let status = if source.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Failure::from(InitError::Program { program, source }).with_status(status)
}

/// What is typed goes to the program. If it has asked for input before it was the foreground, it was stopped.
fn give_terminal(group: Pid) -> Result<(), StepError> {
    tcsetpgrp(io::stdin(), group).map_err(step("give the terminal to the program"))?;
    match kill(Pid::from_raw(-group.as_raw()), Signal::SIGCONT) {
        Err(Errno::ESRCH) => Ok(()),
        outcome => outcome.map_err(step("let the program go on")),
    }
}

/// `USER[:GROUP]`, as the program's root knows them.
fn become_user(command: &mut Command, wanted: &str) -> Result<(), Failure> {
    let (user, group) = wanted.split_once(':').map_or((wanted, None), |(user, group)| (user, Some(group)));
    let known = match user.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(user),
    };
    let known = known.map_err(step("look the user up"))?;
    let unknown = || InitError::Unknown { kind: "user", name: user.to_owned() };
    let uid = known.as_ref().map(|known| known.uid.as_raw()).or_else(|| user.parse().ok()).ok_or_else(unknown)?;
    let gid = match group {
        Some(group) => group_id(group)?,
        None => known.as_ref().map_or(0, |known| known.gid.as_raw()),
    };
    command.uid(uid).gid(gid);
    if let Some(known) = known {
        command.env("HOME", known.dir).env("USER", known.name);
    }
    Ok(())
}

fn group_id(wanted: &str) -> Result<u32, Failure> {
    if let Ok(number) = wanted.parse() {
        return Ok(number);
    }
    let known = Group::from_name(wanted).map_err(step("look the group up"))?.map(|group| group.gid);
    let unknown = InitError::Unknown { kind: "group", name: wanted.to_owned() };
    Ok(known.map(Gid::as_raw).ok_or(unknown)?)
}

/// Until the program ends. What is left of it then the kernel ends with this process.
fn wait(child: &Child, signals: &mut Signals) -> ExitStatus {
    let Ok(program) = i32::try_from(child.id()).map(Pid::from_raw) else { return ExitStatus::from_raw(0) };
    loop {
        if let Some(status) = reap(program) {
            return status;
        }
        signals.pass_on(program, false);
    }
}

/// Orphans are this process' children.
fn reap(program: Pid) -> Option<ExitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return Some(ExitStatus::from_raw(code << 8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(_) | Err(_) => {}
        }
    }
}
