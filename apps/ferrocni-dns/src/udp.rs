//! Answering datagrams.

use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use tokio::net::UdpSocket;

use crate::answer::Outcome;
use crate::buffer;
use crate::forward::Forward;
use crate::place::Place;
use crate::server::Server;
use crate::tasks::Tasks;
use crate::upstream::Transport;

/// After so many datagrams of one container it is others' turn.
const AT_ONCE: usize = 32;

/// Answers what arrives at a place, until it is dropped.
pub(crate) async fn serve(server: Rc<Server>, place: Place, socket: UdpSocket, tasks: Weak<Tasks>) {
    let socket = Rc::new(socket);
    while socket.readable().await.is_ok() {
        let is_empty = (0..AT_ONCE).any(|_| !answer_next(&server, place, &socket, &tasks));
        if !is_empty {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether there was something. An error tells of an answer that found nobody.
fn answer_next(server: &Server, place: Place, socket: &Rc<UdpSocket>, tasks: &Weak<Tasks>) -> bool {
    let received = buffer::with(|buffer| {
        let (length, from) = socket.try_recv_from(buffer)?;
        let asker = server.asker(place, from.ip());
        Ok::<_, std::io::Error>((
            asker.map_or(Outcome::Silence, |asker| server.answer(asker, &buffer[..length], Transport::Udp)),
            from,
        ))
    });
    match received {
        Ok((Outcome::Silence, _)) => {}
        // A datagram that finds no room is lost, as anywhere.
        Ok((Outcome::Answer(answer), from)) => drop(socket.try_send_to(&answer, from)),
        Ok((Outcome::Forward(forward), from)) => {
            if let Some(tasks) = tasks.upgrade() {
                tasks.spawn(forward_to(forward, from, Rc::downgrade(socket)));
            }
        }
        Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
    }
    true
}

async fn forward_to(forward: Box<Forward>, from: SocketAddr, socket: Weak<UdpSocket>) {
    let (answer, _) = forward.answer().await;
    if let Some(socket) = socket.upgrade() {
        let _ = socket.try_send_to(&answer, from);
    }
}
