//! The plugin's end of the conversation with the daemon.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::protocol::{Answer, Line, MAX_LINE, Request, VERSION, line};

/// How long the daemon may take to say how long it will take. It may have to be started first, by systemd.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// What it may take longer than it said, on a host with a lot to do.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a foreign answer is quoted.
const QUOTED: usize = 80;

/// Asks the daemon on `socket`.
///
/// # Errors
/// [`Error::Absent`] if no process listens there; [`Error::NotOurs`] or [`Error::OtherVersion`] if it is not the daemon that
/// came with this plugin; [`Error::Ended`] if it ended in the meantime; the daemon's own error.
pub(crate) fn ask(socket: &Path, request: &Request) -> Result<Answer, Error> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Silent { socket: socket.into() },
        _ => Error::Talk { socket: socket.into(), source: error },
    };
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::Absent { socket: socket.into() },
        _ => failed(error),
    })?;
    match stream.write_all(&line(request)) {
        // It has said something before it hung up.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(error)),
        _ => {}
    }
    let mut patience = FIRST_ANSWER;
    let mut known = false;
    let mut reader = BufReader::new(stream);
    loop {
        reader.get_ref().set_read_timeout(Some(patience)).map_err(failed)?;
        let mut text = Vec::new();
        (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut text).map_err(failed)?;
        if known && text.is_empty() {
            return Err(Error::Ended { socket: socket.into() });
        }
        match answer(socket, &text)? {
            Answer::Wait { seconds } => (known, patience) = (true, Duration::from_secs(seconds) + GRACE),
            Answer::Failed(failure) => return Err(Error::Daemon(failure.into())),
            answer => return Ok(answer),
        }
    }
}

fn answer(socket: &Path, text: &[u8]) -> Result<Answer, Error> {
    let not_ours = || Error::NotOurs { socket: socket.into(), said: quote(text) };
    let line: Line<Value> = serde_json::from_slice(text).map_err(|_| not_ours())?;
    if line.version != VERSION {
        return Err(Error::OtherVersion { socket: socket.into(), daemon: line.version, plugin: VERSION });
    }
    Answer::deserialize(line.body).map_err(|_| not_ours())
}

fn quote(text: &[u8]) -> String {
    let line = String::from_utf8_lossy(text);
    line.chars().filter(|character| !character.is_control()).take(QUOTED).collect()
}
