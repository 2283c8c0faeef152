//! Test traffic. The sockets are the harness' own, opened inside a namespace: a socket stays in the
//! namespace it was opened in, so nothing here ever leaves the test.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};

use crate::namespaces::Namespaces;

/// Everything is on one machine: an answer that takes longer was dropped.
const DEADLINE: Duration = Duration::from_secs(1);

/// Longer than any deadline above, so that one lost packet (an address that is still being verified, a
/// bridge port that is just coming up) does not fail a test.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Listener {
    stopped: Arc<AtomicBool>,
    wake: Option<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(listener) = &self.wake {
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn listen_tcp(namespaces: &Namespaces, port: u16) -> Listener {
    let listener = namespaces
        .enter_network_only(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
        .unwrap_or_else(|error| panic!("listen on TCP port {port}: {error}"));
    let wake = listener.try_clone().expect("copy a socket");
    let stopped = Arc::new(AtomicBool::new(false));
    let thread = thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = stream.write_all(canonical(peer).to_string().as_bytes());
        }
    });
    Listener { stopped, wake: Some(wake), thread: Some(thread) }
}

pub(crate) fn listen_udp(namespaces: &Namespaces, port: u16) -> Listener {
    let socket = namespaces
        .enter_network_only(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)))
        .unwrap_or_else(|error| panic!("listen on UDP port {port}: {error}"));
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket takes a timeout");
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let thread = thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            if let Ok((_, peer)) = socket.recv_from(&mut [0; 16]) {
                let _ = socket.send_to(canonical(peer).to_string().as_bytes(), peer);
            }
        }
    });
    Listener { stopped, wake: None, thread: Some(thread) }
}

pub(crate) fn connect_tcp(namespaces: &Namespaces, to: &str) -> io::Result<SocketAddr> {
    let to = address(to);
    let mut stream = namespaces.enter_network_only(|| TcpStream::connect_timeout(&to, DEADLINE))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut seen = String::new();
    stream.read_to_string(&mut seen)?;
    seen.parse().map_err(|_| io::Error::other(format!("something else answered: {seen:?}")))
}

pub(crate) fn ask_udp(namespaces: &Namespaces, to: &str) -> io::Result<SocketAddr> {
    let to = address(to);
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = namespaces.enter_network_only(|| UdpSocket::bind(any))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.send(b"who am I")?;
    let mut answer = [0; 64];
    let length = receive(&socket, &mut answer)?;
    let seen = String::from_utf8_lossy(&answer[..length]);
    seen.parse().map_err(|_| io::Error::other(format!("something else answered: {seen:?}")))
}

/// What comes next, for as long as the socket waits. Every signal interrupts a wait that has an end, such as the one that tells that
/// another test's child has ended.
///
/// # Errors
/// Those of `recv`, but for that interruption.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

/// One TCP connection over which a client sends a number and the server sends it back, again and again, until it is dropped.
#[derive(Debug)]
pub struct Conversation {
    stopped: Arc<AtomicBool>,
    exchanges: Arc<AtomicU64>,
    client: Option<JoinHandle<io::Result<()>>>,
}

impl Conversation {
    /// Requires that it goes on from here, on the same connection.
    ///
    /// # Panics
    /// If it has broken off.
    #[track_caller]
    pub fn assert_goes_on(&self) {
        let (before, start) = (self.exchanges.load(Ordering::SeqCst), Instant::now());
        while self.exchanges.load(Ordering::SeqCst) <= before + 1 {
            assert!(start.elapsed() < PATIENCE, "a TCP connection has broken off after {before} exchanges");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let ended = self.client.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(Ok(())))), "a TCP connection has broken off: {ended:?}");
        }
    }
}

pub(crate) fn converse(client: &Namespaces, server: &Namespaces, to: &str) -> Conversation {
    let to = address(to);
    let listener = server
        .enter_network_only(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, to.port())))
        .unwrap_or_else(|error| panic!("listen on TCP port {}: {error}", to.port()));
    let connected = until_it_works(|| client.enter_network_only(|| TcpStream::connect_timeout(&to, DEADLINE)));
    let connected = connected.unwrap_or_else(|error| panic!("{to} over TCP: {error}"));
    let (accepted, _) = listener.accept().expect("accept a connection that is there");
    thread::spawn(move || io::copy(&mut &accepted, &mut &accepted));
    let (stopped, exchanges) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
    let client = exchange(connected, Arc::clone(&stopped), Arc::clone(&exchanges));
    Conversation { stopped, exchanges, client: Some(client) }
}

fn exchange(mut stream: TcpStream, stopped: Arc<AtomicBool>, exchanges: Arc<AtomicU64>) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        while !stopped.load(Ordering::SeqCst) {
            let sent = exchanges.load(Ordering::SeqCst).to_be_bytes();
            let mut received = [0; 8];
            stream.write_all(&sent)?;
            stream.read_exact(&mut received)?;
            if received != sent {
                return Err(io::Error::other(format!("sent {sent:?} and received {received:?}")));
            }
            exchanges.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    })
}

/// Tries again after a failure, until patience ends.
pub(crate) fn until_it_works<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text} is not an address with a port: {error}"))
}

/// The servers listen for both families on one socket, which shows IPv4 clients in IPv6's form.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
