//! What a client says and when: RFC 2131, figure 5, and RFC 8415, section 18.2, which are the same but for the messages.
//!
//! There is no clock, socket or random number generator in here: [`Machine::step`] is told what has happened and at what time,
//! and answers what is to be done. It wants to be told, too, when [`Machine::wake`] has come.

use std::net::IpAddr;
use std::time::Duration;

use crate::lease::{Grant, Lease};
use crate::moment::Moment;

/// How often to repeat a question that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// After how long for the first time, while a server is being sought; it doubles each time.
    pub(crate) first: Duration,
    /// The same once a server has been chosen: it may have to write something down before it answers.
    pub(crate) request: Duration,
    /// After how long at most.
    pub(crate) longest: Duration,
    /// How long a server that has offered something has for the answer to the request before others are sought.
    pub(crate) answer: Duration,
    /// When to give up an attempt and begin another.
    pub(crate) attempt: Duration,
}

/// How long a client waits after a refusal before it asks again, so that both do not send without pause.
const SULK: Duration = Duration::from_secs(1);
/// A server with this preference is taken at once (RFC 8415, section 18.2.1).
pub(crate) const TAKE_AT_ONCE: u8 = 255;

/// An address that a server would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The offered address.
    pub(crate) address: IpAddr,
    /// Who would give it, as in [`Lease::server`].
    pub(crate) server: Vec<u8>,
    /// The best of several offers is the one with the highest preference.
    pub(crate) preference: u8,
}

/// What the client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// Who has an address for me? (DISCOVER, SOLICIT)
    Seek,
    /// I take this one. (REQUEST)
    Request(Offer),
    /// May I keep mine? To the server that gave it. (REQUEST, RENEW)
    Renew,
    /// May I keep mine? To every server. (REQUEST, REBIND)
    Rebind,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// An address that the client may request. (OFFER, ADVERTISE)
    Offer(Offer),
    /// The lease. (ACK, REPLY)
    Grant(Box<Grant>),
    /// The server refuses. (NAK, or a status code in DHCPv6)
    Refusal {
        /// `DHCPNAK` or the DHCPv6 status code, and the server's message if there is one.
        reason: String,
        /// The address may not be used any more, however long its lease was.
        revokes: bool,
    },
}

/// What the machine reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The client starts without a lease.
    Start,
    /// The moment has come that [`Machine::wake`] named.
    Wake,
    /// A server has answered the question that is open.
    Heard(Reply),
    /// The lease is to be renewed now.
    Renew,
}

/// What the caller of [`Machine::step`] has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a message.
    Send {
        /// The message, the same for both protocols.
        message: Message,
        /// The number of the exchange, which the answer repeats.
        transaction: u32,
        /// How long the exchange has lasted.
        elapsed: Duration,
    },
    /// The address is ours: use it.
    Take(Lease),
    /// The address is not ours any more: do not use it.
    Withdraw {
        /// The reason, for the log.
        why: String,
    },
    /// Tell the administrator.
    Note(String),
}

/// The state of one client: one family of one attachment.
#[derive(Debug)]
pub(crate) struct Machine {
    pace: Pace,
    state: State,
    lease: Option<Lease>,
}

#[derive(Debug)]
enum State {
    Idle,
    Bound,
    Asking(Question, Exchange),
}

#[derive(Debug, Clone)]
enum Question {
    Seek { best: Option<Offer> },
    Request(Offer),
    Renew,
    Rebind,
}

/// A question being asked until it is answered.
#[derive(Debug, Clone)]
struct Exchange {
    transaction: u32,
    began: Moment,
    /// When it was asked for the last time: from then on an answer's times count.
    asked: Moment,
    times: u32,
    next: Moment,
}

/// A source of random numbers, for transaction numbers and pauses.
pub(crate) type Random<'a> = &'a mut dyn FnMut() -> u32;

impl Machine {
    /// A client that has a lease already, or that will be told to start.
    #[must_use]
    pub(crate) fn new(pace: Pace, lease: Option<Lease>) -> Self {
        let state = if lease.is_some() { State::Bound } else { State::Idle };
        Self { pace, state, lease }
    }

    /// The lease, if there is one.
    #[must_use]
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The number of the question that is open.
    #[must_use]
    pub(crate) fn transaction(&self) -> Option<u32> {
        self.exchange().map(|exchange| exchange.transaction)
    }

    /// Whether no server has been chosen yet.
    #[must_use]
    pub(crate) fn is_seeking(&self) -> bool {
        matches!(self.state, State::Asking(Question::Seek { .. }, _))
    }

    /// When to come back, if nothing happens before.
    #[must_use]
    pub(crate) fn wake(&self) -> Moment {
        let time = |of: fn(&Lease) -> Moment| self.lease.as_ref().map_or(Moment::NEVER, of);
        let due = match &self.state {
            State::Idle => Moment::NEVER,
            State::Bound => time(|lease| lease.renew_at),
            State::Asking(Question::Renew, exchange) => exchange.next.min(time(|lease| lease.rebind_at)),
            State::Asking(_, exchange) => exchange.next,
        };
        due.min(time(|lease| lease.expires_at))
    }

    /// What follows from what has happened.
    #[must_use]
    pub(crate) fn step(&mut self, event: Event, now: Moment, random: Random<'_>) -> Vec<Action> {
        match event {
            Event::Start => vec![self.seek(now, random)],
            Event::Wake => self.woken(now, random),
            Event::Heard(reply) => self.heard(reply, now, random),
            Event::Renew => self.renew(now, random),
        }
    }

    fn exchange(&self) -> Option<&Exchange> {
        match &self.state {
            State::Idle | State::Bound => None,
            State::Asking(_, exchange) => Some(exchange),
        }
    }

    fn woken(&mut self, now: Moment, random: Random<'_>) -> Vec<Action> {
        if now < self.wake() {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if self.lease.as_ref().is_some_and(|lease| now >= lease.expires_at) {
            self.lease = None;
            actions.push(Action::Withdraw { why: "the lease expired and no server renewed it".into() });
        }
        actions.extend(match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Vec::new(),
            State::Bound => self.ask_for_more(now, random),
            State::Asking(question, exchange) => self.unanswered(question, exchange, now, random),
        });
        actions
    }

    /// The lease wants renewing: whom to ask depends on how late it is.
    fn ask_for_more(&mut self, now: Moment, random: Random<'_>) -> Vec<Action> {
        let exchange = Exchange::new(now, random);
        match &self.lease {
            None => vec![self.seek(now, random)],
            Some(lease) if now < lease.rebind_at => vec![self.ask(Question::Renew, exchange, now, random)],
            Some(_) => {
                let note = Action::Note("its server does not answer; every other is asked to renew the lease".into());
                vec![note, self.ask(Question::Rebind, exchange, now, random)]
            }
        }
    }

    fn unanswered(&mut self, question: Question, exchange: Exchange, now: Moment, random: Random<'_>) -> Vec<Action> {
        match question {
            Question::Renew if self.lease.as_ref().is_none_or(|lease| now >= lease.rebind_at) => {
                self.ask_for_more(now, random)
            }
            Question::Rebind if self.lease.is_none() => vec![self.seek(now, random)],
            // It was the lease that ran out, while another was being sought.
            _ if now < exchange.next => {
                self.state = State::Asking(question, exchange);
                Vec::new()
            }
            Question::Seek { best: Some(offer) } => vec![self.request(offer, exchange.transaction, now, random)],
            Question::Seek { best: None } if now.since(exchange.began) >= self.pace.attempt => {
                let seconds = now.since(exchange.began).as_secs();
                let note = Action::Note(format!("no server has answered for {seconds} s; it is asked on"));
                vec![note, self.seek(now, random)]
            }
            Question::Request(_) if now.since(exchange.began) >= self.pace.answer => vec![self.seek(now, random)],
            _ => vec![self.ask(question, exchange, now, random)],
        }
    }

    fn heard(&mut self, reply: Reply, now: Moment, random: Random<'_>) -> Vec<Action> {
        let State::Asking(question, exchange) = &mut self.state else { return Vec::new() };
        match (reply, question) {
            (Reply::Offer(offer), Question::Seek { best }) => {
                // In the first moments offers are collected; later any will do (RFC 8415, section 18.2.1).
                if offer.preference == TAKE_AT_ONCE || exchange.times > 1 {
                    let transaction = exchange.transaction;
                    return vec![self.request(offer, transaction, now, random)];
                }
                if best.as_ref().is_none_or(|best| best.preference < offer.preference) {
                    *best = Some(offer);
                }
                Vec::new()
            }
            (Reply::Offer(_), _) => Vec::new(),
            (Reply::Grant(grant), _) => {
                let lease = grant.from(exchange.asked);
                self.state = State::Bound;
                self.lease = Some(lease.clone());
                vec![Action::Take(lease)]
            }
            // Another may have what this one has not.
            (Reply::Refusal { reason, .. }, Question::Seek { .. }) => vec![refusal(&reason)],
            (Reply::Refusal { reason, revokes }, _) => self.refused(&reason, revokes, now, random),
        }
    }

    /// A server that turns down what it has just offered would do so for ever; one that does not know a lease any more has
    /// a new one.
    fn refused(&mut self, reason: &str, revokes: bool, now: Moment, random: Random<'_>) -> Vec<Action> {
        let held = self.lease.is_some();
        let first = match self.lease.take_if(|_| revokes) {
            Some(_) => Action::Withdraw { why: format!("the server revoked the lease ({reason})") },
            None => refusal(reason),
        };
        if held && !matches!(self.state, State::Asking(Question::Request(_), _)) {
            return vec![first, self.seek(now, random)];
        }
        let exchange = Exchange { next: now.after(SULK), ..Exchange::new(now, random) };
        self.state = State::Asking(Question::Seek { best: None }, exchange);
        vec![first]
    }

    fn renew(&mut self, now: Moment, random: Random<'_>) -> Vec<Action> {
        match self.state {
            State::Bound => self.ask_for_more(now, random),
            State::Idle | State::Asking(..) => Vec::new(),
        }
    }

    fn seek(&mut self, now: Moment, random: Random<'_>) -> Action {
        let exchange = Exchange::new(now, random);
        self.ask(Question::Seek { best: None }, exchange, now, random)
    }

    /// DHCPv4 wants the number of the DISCOVER again, DHCPv6 does not mind.
    fn request(&mut self, offer: Offer, transaction: u32, now: Moment, random: Random<'_>) -> Action {
        let exchange = Exchange { transaction, ..Exchange::new(now, random) };
        self.ask(Question::Request(offer), exchange, now, random)
    }

    fn ask(&mut self, question: Question, mut exchange: Exchange, now: Moment, random: Random<'_>) -> Action {
        let end = |of: fn(&Lease) -> Moment| self.lease.as_ref().map_or(now, of);
        let (message, pause) = match &question {
            Question::Seek { .. } => (Message::Seek, self.doubled(self.pace.first, exchange.times, random())),
            Question::Request(offer) => {
                let left = exchange.began.after(self.pace.answer).since(now);
                (Message::Request(offer.clone()), self.doubled(self.pace.request, exchange.times, random()).min(left))
            }
            Question::Renew => (Message::Renew, self.half_until(end(|lease| lease.rebind_at), now)),
            Question::Rebind => (Message::Rebind, self.half_until(end(|lease| lease.expires_at), now)),
        };
        exchange.asked = now;
        exchange.times += 1;
        exchange.next = now.after(pause);
        let (transaction, elapsed) = (exchange.transaction, now.since(exchange.began));
        self.state = State::Asking(question, exchange);
        Action::Send { message, transaction, elapsed }
    }

    /// Exponential, up to ten per cent more or less so that clients that started together do not stay together (RFC 8415,
    /// section 15; RFC 2131, section 4.1, says a second).
    fn doubled(&self, first: Duration, times: u32, random: u32) -> Duration {
        let doubled = first.saturating_mul(1 << times.min(16)).min(self.pace.longest);
        doubled.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
    }

    /// RFC 2131, section 4.4.5. Its minimum of a minute is too long for a lease of two.
    fn half_until(&self, end: Moment, now: Moment) -> Duration {
        let shortest = Duration::from_secs(1);
        (end.since(now) / 2).clamp(shortest, self.pace.longest.max(shortest))
    }
}

fn refusal(reason: &str) -> Action {
    Action::Note(format!("the server refused: {reason}"))
}

impl Exchange {
    fn new(now: Moment, random: Random<'_>) -> Self {
        Self { transaction: random(), began: now, asked: now, times: 0, next: now }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "machine_tests.rs"]
mod tests;
