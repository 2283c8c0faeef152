//! The door of the server, from outside.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::{Attachment, ContainerId};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::wire::{self, Answer, Lookup, MAX_LINE, Question, Request, Status};

/// Where the server listens.
pub const SOCKET: &str = "/run/ferrocni/dns.sock";

/// A server that is well answers in less than a millisecond, but it may be starting, on a host that is busy starting containers.
const PATIENCE: Duration = Duration::from_secs(10);
/// It hears of records that go by itself.
const PATIENCE_TO_FORGET: Duration = Duration::from_secs(2);
/// As long as it may ask others: three servers, two seconds each.
const PATIENCE_FOR_OTHERS: Duration = Duration::from_secs(8);

/// Where a server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(PathBuf);

/// Why the server has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum ServerError {
    /// Nobody listens.
    #[error("no DNS server listens on {}", path.display())]
    Absent { path: PathBuf, source: io::Error },
    /// It was reached, or cannot be, and did not answer.
    #[error("cannot {action} the DNS server on {}", path.display())]
    Failed { action: &'static str, path: PathBuf, source: io::Error },
    /// It does not speak our language.
    #[error("what answers on {} is not ferrocni-dns, or one of another version", path.display())]
    Misunderstood { path: PathBuf, source: serde_json::Error },
    /// It answered with something else than what was asked.
    #[error("the DNS server on {} has answered another question", path.display())]
    Unexpected { path: PathBuf },
    /// It says why it could not.
    #[error("the DNS server cannot {action}: {reason}")]
    Refused { action: String, reason: String },
}

impl ServerError {
    /// Whether there is no server, in contrast to one that does not do what it should.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    /// Whether there was a server that has ended before it answered.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(self, Self::Failed { source, .. } if matches!(source.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::at(SOCKET)
    }
}

impl Server {
    /// The server that listens on the Unix socket at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in the socket's folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.0.with_file_name(name)
    }

    /// Has it read the attachment's record. When this returns, all who may know its names are answered, and so is its container.
    ///
    /// # Errors
    /// [`ServerError`]: there is none, or it could not.
    pub fn serve(&self, attachment: &Attachment) -> Result<(), ServerError> {
        self.done(&Request::Serve(files::name_of(attachment)), PATIENCE, format!("serve {attachment}"))
    }

    /// Has it forget the attachment's record, also if that was never served. When this returns, nobody is answered with its
    /// names, and the sockets in its namespace are closed if no other record is of that.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub fn forget(&self, attachment: &Attachment) -> Result<(), ServerError> {
        self.done(&Request::Forget(files::name_of(attachment)), PATIENCE_TO_FORGET, format!("forget {attachment}"))
    }

    /// What the container would be answered. Others are asked, if they would be for the container: that takes six seconds if
    /// none of them answers.
    ///
    /// # Errors
    /// As [`Server::serve`]; also if the server has no record of the container.
    pub fn lookup(&self, container: &ContainerId, name: &str, kind: &str) -> Result<Lookup, ServerError> {
        let question = Question { container: container.to_string(), name: name.to_owned(), kind: kind.to_owned() };
        let what = format!("look up {name} for container {container}");
        match self.ask(&Request::Lookup(question), PATIENCE_FOR_OTHERS, what)? {
            Answer::Lookup(lookup) => Ok(lookup),
            _ => Err(self.unexpected()),
        }
    }

    /// How the server is.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub fn status(&self) -> Result<Status, ServerError> {
        match self.ask(&Request::Status(()), PATIENCE, "tell its status".to_owned())? {
            Answer::Status(status) => Ok(status),
            _ => Err(self.unexpected()),
        }
    }

    fn done(&self, request: &Request, patience: Duration, action: String) -> Result<(), ServerError> {
        match self.ask(request, patience, action)? {
            Answer::Done => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    fn ask(&self, request: &Request, patience: Duration, action: String) -> Result<Answer, ServerError> {
        let line = self.exchange(&wire::line(request), patience)?;
        match wire::read(&line) {
            Ok(Answer::Error(reason)) => Err(ServerError::Refused { action, reason }),
            Ok(answer) => Ok(answer),
            Err(source) => Err(ServerError::Misunderstood { path: self.0.clone(), source }),
        }
    }

    fn exchange(&self, request: &[u8], patience: Duration) -> Result<Vec<u8>, ServerError> {
        let failed = |action| {
            move |error: io::Error| {
                // What the kernel says of a time that is over.
                let source = if error.kind() == io::ErrorKind::WouldBlock { late(patience) } else { error };
                ServerError::Failed { action, path: self.0.clone(), source }
            }
        };
        let mut stream = self.connect(patience)?;
        stream.set_read_timeout(Some(patience)).map_err(failed("wait for"))?;
        stream.write_all(request).map_err(failed("write to"))?;
        let mut line = Vec::new();
        let mut limited = BufReader::new(stream).take(MAX_LINE as u64);
        limited.read_until(b'\n', &mut line).map_err(failed("get an answer from"))?;
        if line.is_empty() {
            return Err(failed("get an answer from")(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(line)
    }

    fn connect(&self, patience: Duration) -> Result<UnixStream, ServerError> {
        let connected = SockAddr::unix(&self.0).and_then(|address| {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // For connect(2) too, which waits while the queue of a server that does not accept is full.
            socket.set_write_timeout(Some(patience))?;
            socket.connect(&address)?;
            Ok(socket.into())
        });
        connected.map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                ServerError::Absent { path: self.0.clone(), source }
            }
            _ => ServerError::Failed { action: "connect to", path: self.0.clone(), source },
        })
    }

    fn unexpected(&self) -> ServerError {
        ServerError::Unexpected { path: self.0.clone() }
    }
}

fn late(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it has not answered within {} seconds", patience.as_secs()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    fn attachment() -> Attachment {
        Attachment::new("n", "c1", "eth0").unwrap()
    }

    /// A server that answers one request with `answer`, and what it was asked.
    fn once(dir: &tempfile::TempDir, answer: &'static str) -> (Server, JoinHandle<String>) {
        let path = dir.path().join("dns.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            line
        });
        (Server::at(path), thread)
    }

    #[test]
    fn without_a_server_it_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::at(dir.path().join("dns.sock"));
        assert!(server.status().unwrap_err().is_absent(), "no file");
        drop(UnixListener::bind(server.path()).unwrap());
        assert!(server.status().unwrap_err().is_absent(), "nobody listens");
        std::fs::remove_file(server.path()).unwrap();
        std::fs::write(server.path(), "").unwrap();
        let error = server.status().unwrap_err();
        assert!(error.is_absent(), "a file that is no socket refuses connections: {error:?}");
    }

    #[test]
    fn the_server_is_asked_for_a_record_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (server, asked) = once(&dir, "\"done\"\n");
        server.serve(&attachment()).unwrap();
        assert_eq!(asked.join().unwrap(), "{\"serve\":\"n:c1:eth0\"}\n");
    }

    #[test]
    fn what_it_answers_is_an_error_unless_it_fits() {
        for (answer, expected) in [
            (
                "{\"error\":\"no record\"}\n",
                "the DNS server cannot serve container c1 on network n (interface eth0): no record",
            ),
            ("{\"status\":{}}\n", "another question"),
            ("HTTP/1.0 400\n", "is not ferrocni-dns"),
            ("", "cannot get an answer"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (server, asked) = once(&dir, answer);
            let error = server.serve(&attachment()).unwrap_err();
            assert!(error.to_string().contains(expected) && !error.is_absent(), "{error}");
            asked.join().unwrap();
        }
    }
}
