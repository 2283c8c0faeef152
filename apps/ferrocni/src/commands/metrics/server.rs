//! `--listen`: the numbers over HTTP, to one client after the other, each of which has little time and little to say.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::output::complain;

/// How long a client may take to ask, and how long to read.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that a question may have, in bytes.
const LIMIT: usize = 8 << 10;
/// A pause after what may not pass by itself: no descriptor is free, for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// The only path.
const PATH: &str = "/metrics";

/// Why nobody can be answered.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// Answers until the process ends.
pub(super) fn serve(address: SocketAddr, render: impl Fn() -> Result<String, Failure>) -> Result<(), Failure> {
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    complain(format_args!("metrics are at http://{}{PATH}", listener.local_addr().map_err(failed)?));
    for client in listener.incoming() {
        match client {
            // What becomes of one client is of no concern to the next.
            Ok(client) => drop(answer(client, &render)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Ok(())
}

fn answer(mut client: TcpStream, render: &impl Fn() -> Result<String, Failure>) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    let reply = match read(&mut client)? {
        Question::Whole(question) => reply_to(&question, render),
        Question::TooLong => Reply::error("431 Request Header Fields Too Large"),
        Question::TooSlow => Reply::error("408 Request Timeout"),
    };
    client.write_all(reply.to_http().as_bytes())
}

/// What a client has said.
enum Question {
    Whole(Vec<u8>),
    TooLong,
    TooSlow,
}

/// Up to the empty line; nothing that is asked here has a body.
fn read(client: &mut TcpStream) -> io::Result<Question> {
    let (mut question, mut buffer, start) = (Vec::new(), [0; 1024], Instant::now());
    while !has_end(&question) {
        let left = PATIENCE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(Question::TooSlow);
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => question.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if question.len() > LIMIT {
            return Ok(Question::TooLong);
        }
    }
    Ok(Question::Whole(question))
}

fn has_end(question: &[u8]) -> bool {
    question.windows(4).any(|four| four == b"\r\n\r\n") || question.windows(2).any(|two| two == b"\n\n")
}

/// An answer.
#[derive(Debug, PartialEq)]
struct Reply {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Reply {
    fn error(status: &'static str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{status}\n") }
    }

    fn to_http(&self) -> String {
        let allow = if self.status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        let Self { status, kind, body } = self;
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n{body}"
        )
    }
}

fn reply_to(question: &[u8], render: &impl Fn() -> Result<String, Failure>) -> Reply {
    let text = String::from_utf8_lossy(question);
    let words: Vec<_> = text.lines().next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Reply::error("400 Bad Request") };
    if !version.starts_with("HTTP/1.") || !has_end(question) {
        return Reply::error("400 Bad Request");
    }
    if target.split('?').next() != Some(PATH) {
        return Reply::error("404 Not Found");
    }
    if method != "GET" {
        return Reply::error("405 Method Not Allowed");
    }
    match render() {
        Ok(body) => Reply { status: "200 OK", kind: "text/plain; version=0.0.4; charset=utf-8", body },
        Err(failure) => {
            // The reason names files of the host, and is not for everybody.
            complain(failure);
            Reply::error("500 Internal Server Error")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(question: &[u8]) -> &'static str {
        reply_to(question, &|| Ok("x 1\n".to_owned())).status
    }

    #[test]
    fn only_the_numbers_are_given_and_only_to_who_asks_for_them() {
        assert_eq!(status(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "200 OK");
        assert_eq!(status(b"GET /metrics?x=y HTTP/1.0\n\n"), "200 OK");
        assert_eq!(status(b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n"), "404 Not Found");
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), "404 Not Found");
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), "405 Method Not Allowed");
        for nonsense in
            [&b""[..], b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b"\xff\xfe\r\n\r\n"]
        {
            assert_eq!(status(nonsense), "400 Bad Request", "{nonsense:?}");
        }
    }

    #[test]
    fn a_failure_says_nothing_of_the_host() {
        let reply = reply_to(b"GET /metrics HTTP/1.1\r\n\r\n", &|| Err(Failure::from("/secret")));
        assert_eq!(reply, Reply::error("500 Internal Server Error"));
        assert!(Reply::error("405 Method Not Allowed").to_http().contains("\r\nAllow: GET\r\n"));
    }
}
