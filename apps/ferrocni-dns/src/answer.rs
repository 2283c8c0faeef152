//! What becomes of a query.

use std::net::SocketAddr;
use std::rc::Rc;

use domain::base::iana::{Class, ExtendedErrorCode, OptRcode};
use domain::base::{Message, Rtype};
use netlink::NetnsId;

use crate::directory::Entry;
use crate::forward::{Forward, Returned, Route};
use crate::query::{Query, Unfit};
use crate::reply::{self, Reply};
use crate::resolve::{Resolution, resolve, resolve_for_host};
use crate::server::Server;
use crate::upstream::{Question, Transport};

/// What is to be done about a query.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing: it is none.
    Silence,
    /// This is sent back.
    Answer(Vec<u8>),
    /// Others are asked.
    Forward(Box<Forward>),
}

impl Server {
    /// Deals with what a namespace's container has sent.
    pub(crate) fn answer(&self, asker: NetnsId, bytes: &[u8], transport: Transport) -> Outcome {
        let query = match Query::parse(bytes) {
            Ok(query) => query,
            Err(unfit) => return refuse(bytes, unfit),
        };
        match self.decide(asker, &query, transport) {
            Ok(reply) => Outcome::Answer(written(&reply, &query, transport)),
            Err(forward) => Outcome::Forward(forward),
        }
    }

    fn decide(&self, asker: NetnsId, query: &Query<'_>, transport: Transport) -> Result<Reply, Box<Forward>> {
        let directory = self.directory.borrow();
        let own = directory.of_namespace(asker);
        // Only the Internet has containers.
        let kind = if query.class() == Class::IN { query.kind() } else { Rtype::ANY };
        let resolution = match own {
            [] if self.is_host(asker) => resolve_for_host(&directory, &query.name, kind),
            [] => return Ok(Reply::of(OptRcode::REFUSED)),
            own => resolve(&directory, own, &query.name, kind),
        };
        match resolution {
            Resolution::Known { answers, additional, ttl } => {
                Ok(Reply { answers, additional, ttl, ..Reply::of(OptRcode::NOERROR) })
            }
            Resolution::Unknown { is_ours: true } => Ok(Reply::of(OptRcode::NXDOMAIN)),
            Resolution::Unknown { is_ours: false } => self.pass_on(asker, own, query, transport),
        }
    }

    /// What others may know.
    fn pass_on(
        &self,
        asker: NetnsId,
        own: &[Rc<Entry>],
        query: &Query<'_>,
        transport: Transport,
    ) -> Result<Reply, Box<Forward>> {
        let route = if self.is_host(asker) { Route::Host } else { Route::of(own) };
        let (servers, from) = match route {
            Route::Forbidden => return Ok(Reply::of(OptRcode::NXDOMAIN).because(ExtendedErrorCode::PROHIBITED)),
            Route::Host => (self.host_servers(), None),
            Route::Own(servers) => match own.iter().find_map(|own| own.record.namespace.open().ok().flatten()) {
                Some(namespace) => (servers, Some(namespace)),
                None => (Vec::new(), None),
            },
        };
        // Not one query and one answer.
        if matches!(query.kind(), Rtype::AXFR | Rtype::IXFR) {
            return Ok(Reply::of(OptRcode::REFUSED));
        }
        if servers.is_empty() {
            return Ok(unreachable());
        }
        let Some(slot) = self.limits.take(asker) else { return Ok(Reply::of(OptRcode::REFUSED)) };
        let (question, health) = (Question::new(query), Rc::clone(&self.health));
        Err(Box::new(Forward { question, transport, servers, from, health, _slot: slot }))
    }
}

impl Forward {
    /// Asks the others, and returns what is sent back, and whose answer it is.
    pub(crate) async fn answer(&self) -> (Vec<u8>, Option<SocketAddr>) {
        match self.run().await {
            Some(Returned { bytes, server }) => (bytes, Some(server)),
            None => (self.failure(), None),
        }
    }

    fn failure(&self) -> Vec<u8> {
        let query = Query::parse(self.question.bytes());
        query.map(|query| written(&unreachable(), &query, self.transport)).unwrap_or_default()
    }
}

/// No server is known, or none answers.
fn unreachable() -> Reply {
    Reply::of(OptRcode::SERVFAIL).because(ExtendedErrorCode::NO_REACHABLE_AUTHORITY)
}

fn refuse(bytes: &[u8], unfit: Unfit) -> Outcome {
    match (unfit, Message::from_slice(bytes)) {
        (Unfit::Refused(code), Ok(message)) => Outcome::Answer(reply::refusal(message, code)),
        _ => Outcome::Silence,
    }
}

fn written(reply: &Reply, query: &Query<'_>, transport: Transport) -> Vec<u8> {
    match transport {
        Transport::Udp => reply.for_udp(query),
        Transport::Tcp => reply.for_tcp(query),
    }
}
