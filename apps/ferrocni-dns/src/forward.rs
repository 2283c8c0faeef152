//! Passing on what is not known here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use domain::base::Message;
use names::{ADDRESS, PORT, redirect};
use netlink::{Netns, NetnsId};

use crate::directory::Entry;
use crate::limits::Slot;
use crate::log;
use crate::query::is_failure;
use crate::resolv_conf::MOST;
use crate::upstream::{Question, Transport};

/// A server that did not answer is asked after the others for so long.
const PENANCE: Duration = Duration::from_secs(30);

/// Who may be asked for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Nobody: it has internal networks only.
    Forbidden,
    /// The host's servers, from the host's namespace.
    Host,
    /// Its own servers, from its own namespace.
    Own(Vec<SocketAddr>),
}

impl Route {
    /// That of a namespace whose records are `asker`.
    pub(crate) fn of(asker: &[Rc<Entry>]) -> Self {
        let outward = || asker.iter().filter(|own| own.record.forward);
        if outward().next().is_none() {
            return Self::Forbidden;
        }
        let given = || outward().flat_map(|own| &own.record.upstreams);
        if given().next().is_none() {
            return Self::Host;
        }
        let mut servers: Vec<SocketAddr> = Vec::new();
        for server in given().filter(|server| !is_ours(server)) {
            if servers.len() < MOST && !servers.contains(server) {
                servers.push(*server);
            }
        }
        Self::Own(servers)
    }
}

/// Whether a container would ask us by asking that server.
fn is_ours(server: &SocketAddr) -> bool {
    server.ip() == ADDRESS && [PORT, redirect::LISTENED].contains(&server.port())
}

/// Which servers have not answered lately.
#[derive(Debug, Default)]
pub(crate) struct Health(RefCell<HashMap<(Option<NetnsId>, SocketAddr), Instant>>);

impl Health {
    /// The servers in the order in which they are asked.
    fn order(&self, from: Option<NetnsId>, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let silent = self.0.borrow();
        let is_silent =
            |server: &SocketAddr| silent.get(&(from, *server)).is_some_and(|since| since.elapsed() < PENANCE);
        let mut ordered = servers.to_vec();
        ordered.sort_by_key(is_silent);
        ordered
    }

    fn note(&self, from: Option<NetnsId>, server: SocketAddr, answered: bool) {
        let mut silent = self.0.borrow_mut();
        if answered {
            silent.remove(&(from, server));
        } else {
            silent.retain(|_, since| since.elapsed() < PENANCE);
            silent.insert((from, server), Instant::now());
        }
    }

    /// Those of the host's servers that have not answered lately.
    pub(crate) fn silent(&self, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let silent = self.0.borrow();
        let is_silent =
            |server: &&SocketAddr| silent.get(&(None, **server)).is_some_and(|since| since.elapsed() < PENANCE);
        servers.iter().filter(is_silent).copied().collect()
    }
}

/// A query on its way to other servers.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) question: Question,
    pub(crate) transport: Transport,
    pub(crate) servers: Vec<SocketAddr>,
    /// The namespace that they are asked from, if it is not the host's.
    pub(crate) from: Option<Netns>,
    pub(crate) health: Rc<Health>,
    /// Held as long as it is under way.
    pub(crate) _slot: Slot,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) bytes: Vec<u8>,
    pub(crate) server: SocketAddr,
}

impl Forward {
    /// Asks one server after the other until one answers. `None` if none has; a failure that a server tells of is better than
    /// that.
    pub(crate) async fn run(&self) -> Option<Returned> {
        let from = self.from.as_ref().map(Netns::id);
        let mut failure = None;
        for server in self.health.order(from, &self.servers) {
            let asked = self.question.ask(server, self.transport, self.from.as_ref()).await;
            self.health.note(from, server, asked.is_ok());
            match asked {
                Ok(bytes) if has_failed(&bytes) => failure = Some(Returned { bytes, server }),
                Ok(bytes) => return Some(Returned { bytes, server }),
                Err(error) => complain(server, &error),
            }
        }
        failure
    }
}

fn has_failed(answer: &[u8]) -> bool {
    Message::from_slice(answer).is_ok_and(|answer| is_failure(answer.header().rcode()))
}

fn complain(server: SocketAddr, error: &io::Error) {
    log::trouble(&format!("{server} does not answer: {}", log::describe(error)));
}
