//! What answers for containers' names, where systemd has not started it.

use std::path::Path;

use ::names::{Records, SOCKET, Server, process, redirect};

use crate::failure::Failure;

/// What the server has in its folder, beside the records.
const FILES: [&str; 4] = ["dns.sock", "dns.start", "dns.lock", "dns.log"];

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
    // An old one does not say which process it is, and ends by itself where there is no record.
    Ok(process::end(status.process.try_into()?, || Ok(true))?)
}
