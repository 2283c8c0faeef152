//! Another server, which answers as a test wants it to.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::A;
use tests::Inside;

use super::client::framed;

/// A server on UDP and TCP until it is dropped.
pub(super) struct Upstream {
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) query: Vec<u8>,
    pub(super) from: SocketAddr,
    pub(super) over_tcp: bool,
}

/// What the server sends back for a query: any number of messages.
type Answering = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync;

impl Upstream {
    pub(super) fn new(
        inside: &impl Inside,
        at: &str,
        answering: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let at: SocketAddr = at.parse().unwrap();
        let (udp, tcp) =
            inside.namespaces().enter_network_only(|| (bind(|| UdpSocket::bind(at)), bind(|| TcpListener::bind(at))));
        let (stopped, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let answering: Arc<Answering> = Arc::new(answering);
        let threads = vec![
            thread::spawn({
                let (stopped, asked, answering) = (Arc::clone(&stopped), Arc::clone(&asked), Arc::clone(&answering));
                move || datagrams(&udp, &stopped, &asked, &*answering)
            }),
            thread::spawn({
                let (stopped, asked) = (Arc::clone(&stopped), Arc::clone(&asked));
                move || streams(&tcp, &stopped, &asked, &*answering)
            }),
        ];
        Self { stopped, threads, asked }
    }

    /// A server that has the address `data` for every name.
    pub(super) fn with_address(inside: &impl Inside, at: &str, data: &str) -> Self {
        let data = data.to_owned();
        Self::new(inside, at, move |query| vec![address(query, &data)])
    }

    /// A server that has only this code.
    pub(super) fn with_code(inside: &impl Inside, at: &str, code: Rcode) -> Self {
        Self::new(inside, at, move |query| vec![coded(query, code)])
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// An earlier one's sockets may be open for a moment longer: in a process that another test is starting, until it executes its program.
fn bind<T>(make: impl Fn() -> io::Result<T>) -> T {
    for _ in 0..100 {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(PAUSE),
            made => return made.unwrap(),
        }
    }
    make().unwrap()
}

const PAUSE: Duration = Duration::from_millis(20);

fn datagrams(socket: &UdpSocket, stopped: &AtomicBool, asked: &Mutex<Vec<Asked>>, answering: &Answering) {
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    let mut buffer = vec![0; 65535];
    while !stopped.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        asked.lock().unwrap().push(Asked { query: buffer[..length].to_vec(), from, over_tcp: false });
        for answer in answering(&buffer[..length]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn streams(listener: &TcpListener, stopped: &AtomicBool, asked: &Mutex<Vec<Asked>>, answering: &Answering) {
    listener.set_nonblocking(true).unwrap();
    while !stopped.load(Ordering::SeqCst) {
        let Ok((mut stream, from)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut query).is_ok() {
            asked.lock().unwrap().push(Asked { query: query.clone(), from, over_tcp: true });
            for answer in answering(&query) {
                let _ = stream.write_all(&framed(&answer));
            }
        }
    }
}

/// An answer with one address.
pub(super) fn address(query: &[u8], data: &str) -> Vec<u8> {
    let message = Message::from_slice(query).unwrap();
    let question = message.sole_question().unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(message, Rcode::NOERROR).unwrap();
    answer.header_mut().set_ra(true);
    answer.push((question.qname(), Ttl::from_secs(300), A::new(data.parse().unwrap()))).unwrap();
    answer.finish()
}

pub(super) fn coded(query: &[u8], code: Rcode) -> Vec<u8> {
    let message = Message::from_slice(query).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(message, code).unwrap();
    answer.header_mut().set_ra(true);
    answer.finish()
}
