//! What answers for containers' names, where systemd has not started it.

use std::path::Path;

use ::names::{Records, SOCKET, Server, redirect};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Failure;

/// What the server has in its folder, beside the records.
const FILES: [&str; 3] = ["dns.sock", "dns.start", "dns.log"];

/// Removes the records of names with the rules that lead to the server, ends the server, and says what it has done.
pub(super) fn remove() -> Result<Vec<String>, Failure> {
    let mut done = Vec::new();
    let records = Records::default();
    for attachment in records.attachments()? {
        // One that cannot be read says nothing of a namespace.
        let record = records.read(&attachment).ok().flatten();
        if let Some(netns) = record.map(|record| record.namespace.open()).transpose()?.flatten() {
            redirect::remove(&netns)?;
        }
        records.remove(&attachment)?;
        done.push(format!("names of {attachment} are removed"));
    }
    if stop()? {
        done.push("the DNS server is stopped".to_owned());
    }
    for name in FILES {
        files::remove(&Path::new(SOCKET).with_file_name(name))?;
    }
    Ok(done)
}

/// Whether there was one to stop.
fn stop() -> Result<bool, Failure> {
    let status = match Server::default().status() {
        Err(error) if error.is_absent() => return Ok(false),
        status => status?,
    };
    match i32::try_from(status.process)? {
        // Such an old one does not say which process it is, and ends by itself where there is no record.
        0 => Ok(false),
        process => match kill(Pid::from_raw(process), Signal::SIGTERM) {
            Err(Errno::ESRCH) => Ok(false),
            outcome => Ok(outcome.map(|()| true)?),
        },
    }
}
