//! The connection to the system bus.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use crate::wire::{Answer, Call, FIXED, remaining};
use crate::{Error, Result};

const USUAL: &str = "unix:path=/run/dbus/system_bus_socket";
/// How long a call may take: libdbus's default. firewalld answers within milliseconds, but not while it
/// reloads.
const PATIENCE: Duration = Duration::from_secs(25);
/// The longest line of the authentication that we read, in bytes.
const LINE: u64 = 4096;
/// The bus takes us for whom the kernel says we are (EXTERNAL, with nothing said by ourselves). All lines
/// go at once; the answers are read afterwards.
const AUTHENTICATION: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// A call of the bus's own methods.
pub(crate) fn call(method: &'static str) -> Call<'static> {
    let name = "org.freedesktop.DBus";
    Call { destination: name, path: "/org/freedesktop/DBus", interface: name, method, arguments: &[] }
}

/// A connection that has said hello.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: BufReader<UnixStream>,
    address: String,
    serial: u32,
}

impl Bus {
    /// Connects to the system bus.
    pub(crate) fn connect() -> Result<Self> {
        let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_default();
        Self::connect_to(if address.is_empty() { USUAL } else { &address })
    }

    fn connect_to(address: &str) -> Result<Self> {
        let failed = |source| Error::Bus { address: address.to_owned(), source };
        let socket = parse(address).ok_or_else(|| Error::Address { address: address.to_owned() })?.map_err(failed)?;
        let stream = UnixStream::connect_addr(&socket).map_err(failed)?;
        let mut bus = Self { stream: BufReader::new(stream), address: address.to_owned(), serial: 0 };
        bus.authenticate().and_then(|()| bus.call(&call("Hello"))).map(|_| bus)
    }

    /// Calls a method and waits for its answer, but not for ever.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Answer> {
        self.serial += 1;
        let message = call.encode(self.serial).ok_or(Error::Malformed)?;
        let deadline = Instant::now() + PATIENCE;
        self.send(&message)?;
        loop {
            let answer = self.receive(Some(deadline))?;
            if !answer.answers(self.serial) {
                continue;
            }
            return match answer.error() {
                Some((name, message)) => Err(Error::Refused { method: call.method, name, message }),
                None => Ok(answer),
            };
        }
    }

    fn authenticate(&mut self) -> Result<()> {
        self.send(AUTHENTICATION)?;
        let deadline = Instant::now() + PATIENCE;
        for expected in ["DATA", "OK"] {
            self.limit(Some(deadline))?;
            let mut line = String::new();
            self.stream.by_ref().take(LINE).read_line(&mut line).map_err(|source| self.failed(source))?;
            if line.is_empty() {
                return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
            }
            if line.split_whitespace().next() != Some(expected) {
                return Err(Error::Authentication { answer: line.trim().to_owned() });
            }
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut stream = self.stream.get_ref();
        let limited = stream.set_write_timeout(Some(PATIENCE));
        limited.and_then(|()| stream.write_all(bytes)).map_err(|source| self.failed(source))
    }

    /// Waits for the next message, however long it takes.
    pub(crate) fn wait(&mut self) -> Result<Answer> {
        self.receive(None)
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<Answer> {
        let mut fixed = [0; FIXED];
        self.read(&mut fixed, deadline)?;
        let mut rest = vec![0; remaining(&fixed).ok_or(Error::Malformed)?];
        self.read(&mut rest, deadline)?;
        Answer::decode(&fixed, &rest).ok_or(Error::Malformed)
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            self.limit(deadline)?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    /// Lets the next read wait until `deadline` and no longer; for ever without one.
    fn limit(&self, deadline: Option<Instant>) -> Result<()> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limited = match left {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => self.stream.get_ref().set_read_timeout(left),
        };
        limited.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Bus { address: self.address.clone(), source }
    }
}

/// The first address of the list that is one of ours; nothing if none is.
fn parse(list: &str) -> Option<io::Result<SocketAddr>> {
    list.split(';').filter_map(|address| address.strip_prefix("unix:")).find_map(|keys| {
        keys.split(',').find_map(|pair| match pair.split_once('=')? {
            ("path", path) => Some(unescape(path).and_then(SocketAddr::from_pathname)),
            ("abstract", name) => Some(unescape(name).and_then(SocketAddr::from_abstract_name)),
            _ => None,
        })
    })
}

/// Undoes the `%xx` of an address.
fn unescape(value: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut parts = value.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let (digits, rest) = part.split_at_checked(2).ok_or_else(invalid)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    fn path(list: &str) -> Option<String> {
        let address = parse(list)?.ok()?;
        address.as_pathname().map(Path::display).map(|path| path.to_string())
    }

    #[test]
    fn addresses_are_taken_from_the_list() {
        assert_eq!(path(USUAL).as_deref(), Some("/run/dbus/system_bus_socket"));
        assert_eq!(path("tcp:host=x;unix:guid=1,path=/a%20b").as_deref(), Some("/a b"));
        assert!(parse("unix:abstract=x").expect("an address").expect("a name").as_abstract_name().is_some());
        assert!(parse("tcp:host=x").is_none());
        assert!(parse("unix:path=/a%2").expect("an address").is_err());
    }

    #[test]
    fn no_bus_is_an_error_at_once() {
        let error = Bus::connect_to("unix:path=/nonexistent/bus").expect_err("nothing there");
        assert!(error.to_string().contains("is dbus running?"), "{error}");
    }

    /// A peer that answers what we send first with `answer`, and hangs up.
    fn with_peer(name: &str, answer: &'static [u8]) -> Result<Bus> {
        let name = format!("ferrocni-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let listener = UnixListener::bind_addr(&address).expect("a socket");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut peer, _) = listener.accept().expect("a connection");
                let mut greeting = [0; 15];
                peer.read_exact(&mut greeting).expect("the client speaks first");
                peer.write_all(answer).expect("the client listens");
            });
            Bus::connect_to(&format!("unix:abstract={name}"))
        })
    }

    #[test]
    fn a_refusal_is_reported_in_the_bus_own_words() {
        let error = with_peer("refuses", b"REJECTED DBUS_COOKIE_SHA1\r\n").expect_err("refused");
        assert!(error.to_string().ends_with("REJECTED DBUS_COOKIE_SHA1"), "{error}");
    }

    #[test]
    fn a_peer_that_hangs_up_or_talks_nonsense_is_an_error() {
        assert!(matches!(with_peer("silent", b""), Err(Error::Bus { .. })));
        assert!(with_peer("stops", b"DATA\r\nOK 1234\r\n").is_err());
        assert!(with_peer("babbles", b"DATA\r\nOK 1234\r\n0123456789abcdef").is_err());
    }
}
