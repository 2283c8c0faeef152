//! The life of one lease: a task that does what the state machine says.

use std::convert::Infallible;
use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

use cni_plugin::Code;
use tokio::sync::{mpsc, oneshot};

use super::channel::{Channel, Way};
use super::client::{Client, random};
use super::end::End;
use super::flags::Flags;
use super::holding::Holding;
use super::log::describe;
use super::place::{Inside, PlaceError};
use crate::Error;
use crate::lease::{Lease, Settings};
use crate::machine::{Action, Event, Machine, Message, Offer, Reply};
use crate::moment::Moment;

/// The timers do not count the time in which the host is suspended, so the clock is looked at now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);

/// What others want of a task.
#[derive(Debug)]
pub(super) enum Command {
    /// The present settings, if there is a lease.
    Current(oneshot::Sender<Option<Settings>>),
    /// Renew the lease now, before its T1.
    Renew,
    /// End; tell the server, if that is wanted, and the caller that waits whether the file is gone.
    Stop { release: bool, done: oneshot::Sender<Result<(), Error>> },
}

/// Where the outcome of an ADD goes.
pub(super) type Ready = oneshot::Sender<Result<Settings, cni_plugin::Error>>;

pub(super) struct Keeper {
    holding: Holding,
    client: Client,
    machine: Machine,
    channel: Option<Channel>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Present until the waiting ADD has its answer.
    ready: Option<Ready>,
    /// Since when that waits, and until when.
    began: Moment,
    deadline: Moment,
    /// How long servers that would give what was asked for have after one that would not.
    answer: Duration,
}

/// What the task waits for.
enum Happening {
    Command(Option<Command>),
    Time,
    Message(std::io::Result<Vec<u8>>),
}

impl Keeper {
    pub(super) fn new(
        holding: Holding,
        flags: &Flags,
        commands: mpsc::UnboundedReceiver<Command>,
        ready: Option<Ready>,
    ) -> Self {
        let client = Client::new(&holding.key, holding.record.wishes.clone(), flags.broadcast);
        let machine = Machine::new(client.pace(flags), holding.record.lease.clone());
        let began = Moment::now();
        let deadline = if ready.is_some() { began.after(flags.resend_timeout) } else { Moment::NEVER };
        Self { holding, client, machine, channel: None, commands, ready, began, deadline, answer: flags.timeout }
    }

    /// Keeps the lease until there is nothing to keep.
    pub(super) async fn run(mut self) {
        let end = match self.keep().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.channel = None;
        let mut waiting = None;
        match end {
            End::Left => return,
            End::Stopped { release, done } => {
                waiting = Some(done);
                if release {
                    self.holding.release(&mut self.client).await;
                }
            }
            End::Gone(why) => {
                self.holding.log.say(&format!("{why}: the lease is dropped"));
                self.tell(Err(cni_plugin::Error::new(Code::InvalidEnvironment, why)));
            }
            End::Failed(error) => {
                self.holding.log.say(&error.to_string());
                self.tell(Err(error));
                self.holding.release(&mut self.client).await;
            }
        }
        let forgotten = self.holding.forget();
        let unheard = match waiting {
            Some(done) => done.send(forgotten).err().unwrap_or(Ok(())),
            None => forgotten,
        };
        self.holding.note_failure(unheard);
    }

    async fn keep(&mut self) -> Result<Infallible, End> {
        if self.ready.is_some() {
            self.prepare().await?;
        } else {
            self.holding.take_over()?;
        }
        if self.machine.lease().is_none() {
            self.step(Event::Start)?;
        }
        loop {
            match self.next().await {
                Happening::Command(command) => self.obey(command)?,
                Happening::Time if Moment::now() >= self.deadline => {
                    let Holding { key, log, .. } = &self.holding;
                    return Err(End::no_lease(key, self.deadline.since(self.began), log.obstacle()));
                }
                Happening::Time => self.step(Event::Wake)?,
                Happening::Message(Ok(message)) => self.read(&message)?,
                Happening::Message(Err(error)) => self.lose_channel(format!("the socket for DHCP failed: {error}")),
            }
        }
    }

    /// Messages come last, or who sends them without pause would keep a lease from ending.
    async fn next(&mut self) -> Happening {
        let wake = self.machine.wake().min(self.deadline);
        tokio::select! {
            biased;
            command = self.commands.recv() => Happening::Command(command),
            () = until(wake) => Happening::Time,
            message = receive(self.channel.as_ref()) => Happening::Message(message),
        }
    }

    /// The interface has to be able to speak. It is not yet set up, so it would not be missed if it could not.
    async fn prepare(&mut self) -> Result<(), End> {
        let (place, key) = (self.holding.record.place.clone(), self.holding.key.clone());
        let mut ready = std::pin::pin!(place.ready(key.family));
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => self.obey(command)?,
                outcome = &mut ready => return outcome.map_err(|error| End::unable(&key, error)),
                () = until(self.deadline) => {
                    return Err(End::no_carrier(&key, self.deadline.since(self.began)));
                }
            }
        }
    }

    fn obey(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            None => Err(End::Left),
            Some(Command::Current(answer)) => {
                let _ = answer.send(self.holding.settings());
                Ok(())
            }
            Some(Command::Renew) => self.step(Event::Renew),
            Some(Command::Stop { release, done }) => Err(End::Stopped { release, done }),
        }
    }

    fn read(&mut self, message: &[u8]) -> Result<(), End> {
        let Some(transaction) = self.machine.transaction() else { return Ok(()) };
        match self.client.read(message, transaction, self.machine.is_seeking()) {
            Ok(Some(Reply::Offer(offer))) if !self.is_wanted(&offer) => Ok(()),
            Ok(Some(reply)) => self.step(Event::Heard(reply)),
            Ok(None) => Ok(()),
            Err(why) => {
                self.holding.log.hinder(format!("a server's answer cannot be used: {why}"));
                Ok(())
            }
        }
    }

    /// An ADD that asks for an address gets that one, or fails when all servers had the time to answer.
    fn is_wanted(&mut self, offer: &Offer) -> bool {
        let Holding { key, record, log, .. } = &mut self.holding;
        match record.wishes.address(key.family).filter(|wanted| self.ready.is_some() && *wanted != offer.address) {
            Some(wanted) => {
                self.deadline = self.deadline.min(Moment::now().after(self.answer));
                log.hinder(format!(
                    "{wanted} was asked for and a server offered {}: is it in the server's range, and free?",
                    offer.address
                ));
                false
            }
            None => true,
        }
    }

    fn step(&mut self, event: Event) -> Result<(), End> {
        if let Event::Heard(Reply::Grant(_)) = event {
            self.holding.log.clear();
        }
        let actions = self.machine.step(event, Moment::now(), &mut random);
        for action in actions {
            match action {
                Action::Send { message, transaction, elapsed } => self.send(&message, transaction, elapsed)?,
                Action::Take(lease) => self.take(&lease)?,
                Action::Withdraw { why } => self.holding.withdraw(&why)?,
                Action::Note(note) => self.holding.log.hinder(note),
            }
        }
        if self.machine.transaction().is_none() {
            self.channel = None;
        }
        Ok(())
    }

    fn take(&mut self, lease: &Lease) -> Result<(), End> {
        if self.ready.is_none() {
            return self.holding.take(lease);
        }
        self.holding.begin(lease)?;
        self.deadline = Moment::NEVER;
        self.tell(Ok(lease.settings.clone()));
        Ok(())
    }

    fn tell(&mut self, outcome: Result<Settings, cni_plugin::Error>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(outcome);
        }
    }

    /// What cannot be sent now can be later: the question is repeated.
    fn send(&mut self, message: &Message, transaction: u32, elapsed: Duration) -> Result<(), End> {
        if let Some(mut inside) = self.holding.enter()?
            && let Err(error) = self.try_send(&mut inside, message, transaction, elapsed)
        {
            self.lose_channel(describe(&error));
        }
        Ok(())
    }

    fn try_send(
        &mut self,
        inside: &mut Inside,
        message: &Message,
        transaction: u32,
        elapsed: Duration,
    ) -> Result<(), PlaceError> {
        let lease = self.machine.lease();
        let (way, to) = self.client.route(message, lease, inside.link.index);
        let bytes = self.client.write(inside, message, transaction, elapsed, lease)?;
        let from = if let Way::From(address) = way { address } else { Ipv4Addr::UNSPECIFIED };
        // The old one first: both would want the same port.
        let open = self.channel.take().filter(|channel| channel.way == way);
        let channel = match open {
            Some(channel) => channel,
            None => Channel::open(inside, way)?,
        };
        let sent = channel.send(&bytes, from, to);
        self.channel = Some(channel);
        sent.map_err(|error| PlaceError::Io("send to a DHCP server", error))
    }

    fn lose_channel(&mut self, why: String) {
        self.channel = None;
        self.holding.log.hinder(why);
    }
}

async fn receive(channel: Option<&Channel>) -> std::io::Result<Vec<u8>> {
    match channel {
        Some(channel) => channel.receive().await,
        None => pending().await,
    }
}

async fn until(moment: Moment) {
    loop {
        let left = moment.since(Moment::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
