//! A server of DHCPv4 that does what the test says: leases of seconds, lies, rubbish.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tests::{Host, Inside as _};

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const ACK: u8 = 5;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);

/// A message of a client.
pub(super) struct Question<'a>(&'a [u8]);

impl Question<'_> {
    /// DISCOVER, REQUEST, ...
    pub(super) fn kind(&self) -> u8 {
        let mut options = &self.0[240..];
        while let [code, length, rest @ ..] = options {
            let (value, rest) = rest.split_at(usize::from(*length));
            if *code == 53 {
                return value[0];
            }
            options = rest;
        }
        panic!("a message without a type");
    }

    /// An answer with address 10.5.0.77 and these options.
    pub(super) fn answer(&self, kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut answer = vec![2];
        answer.extend(&self.0[1..16]);
        answer.extend([10, 5, 0, 77]);
        answer.resize(28, 0);
        answer.extend(&self.0[28..44]);
        answer.resize(236, 0);
        answer.extend([99, 130, 83, 99, 53, 1, kind, 54, 4]);
        answer.extend(SERVER.octets());
        for (code, value) in options {
            answer.extend([*code, u8::try_from(value.len()).unwrap()]);
            answer.extend(*value);
        }
        answer.push(255);
        answer
    }

    /// What answers are usually like: a /24, and the lease's time, T1 and T2 in seconds.
    pub(super) fn usual_answer(&self, times: [u8; 3]) -> Vec<u8> {
        let kind = if self.kind() == DISCOVER { OFFER } else { ACK };
        let [lease, t1, t2] = times.map(|seconds| [0, 0, 0, seconds]);
        self.answer(kind, &[(1, &[255, 255, 255, 0]), (3, &SERVER.octets()), (51, &lease), (58, &t1), (59, &t2)])
    }
}

/// A server that runs until it is dropped.
pub(super) struct Scripted {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Sends whatever `answers` makes of each question.
    pub(super) fn start(host: &Host, mut answers: impl FnMut(&Question<'_>) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = host
            .namespaces()
            .enter_network_only(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67))?;
                setsockopt(&socket, sockopt::BindToDevice, &"lan".into())?;
                socket.set_broadcast(true)?;
                socket.set_read_timeout(Some(Duration::from_millis(50)))?;
                Ok::<_, std::io::Error>(socket)
            })
            .expect("listen to DHCP clients");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                // Whoever has an address is answered there, everybody else by a broadcast.
                let to = if from.ip().is_unspecified() { SocketAddr::from((Ipv4Addr::BROADCAST, 68)) } else { from };
                for answer in answers(&Question(&buffer[..length])) {
                    let _ = socket.send_to(&answer, to);
                }
            }
        });
        Self { stopped, thread: Some(thread) }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
