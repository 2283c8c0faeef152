use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::container::{Store, sweep};
use crate::failure::{Failure, Outcomes};
use crate::host::Host;
use crate::output::{Progress, print_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long a program may take to end itself, before it is killed
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS", default_value_t = 10)]
    time: u64,
    /// Name, id or beginning of an id
    #[arg(required = true)]
    containers: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let mut outcomes = Outcomes::default();
    let progress = Progress::new("stopping containers", args.containers.len());
    for wanted in &args.containers {
        progress.step();
        outcomes.note(stop(host, wanted, Duration::from_secs(args.time)));
    }
    // Of one that could not clear up itself.
    sweep(host);
    Ok(outcomes.status())
}

fn stop(host: &Host, wanted: &str, patience: Duration) -> Result<(), Failure> {
    let container = Store::of(host).find(wanted)?;
    send(Some(container.record.supervisor), Signal::SIGTERM)?;
    let pid = container.pid;
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(container.wait()));
    let ended = match receiver.recv_timeout(patience) {
        Err(RecvTimeoutError::Timeout) => {
            send(pid, Signal::SIGKILL)?;
            receiver.recv()?
        }
        outcome => outcome?,
    };
    ended?;
    print_line(wanted)
}

/// One that has ended needs no signal.
fn send(pid: Option<i32>, signal: Signal) -> nix::Result<()> {
    match pid.map(|pid| kill(Pid::from_raw(pid), signal)) {
        Some(Err(errno)) if errno != Errno::ESRCH => Err(errno),
        _ => Ok(()),
    }
}
