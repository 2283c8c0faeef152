//! A lease as its file and its interface have it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::end::End;
use super::log::{Log, describe};
use super::place::{Inside, Place, PlaceError};
use crate::Error;
use crate::lease::{Lease, Settings};
use crate::moment::Moment;
use crate::store::{Key, Store};
use crate::wishes::Wishes;

/// What a daemon that takes over has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) wishes: Wishes,
    pub(super) lease: Option<Lease>,
    /// What the interface has. It differs from the lease only if the daemon was killed before it could change it.
    pub(super) configured: Option<Settings>,
}

#[derive(Debug)]
pub(super) struct Holding {
    pub(super) key: Key,
    pub(super) log: Log,
    pub(super) record: Record,
    store: Store,
}

impl Holding {
    pub(super) fn new(key: Key, record: Record, store: Store) -> Self {
        Self { log: Log::new(key.clone()), key, record, store }
    }

    pub(super) fn settings(&self) -> Option<Settings> {
        self.record.lease.as_ref().map(|lease| lease.settings.clone())
    }

    /// Goes to the interface; `None` if something stands in the way that may be gone the next time.
    pub(super) fn enter(&mut self) -> Result<Option<Inside>, End> {
        match self.record.place.enter() {
            Ok(inside) => Ok(Some(inside)),
            Err(PlaceError::Gone(why)) => Err(End::Gone(why)),
            Err(error) => {
                self.log.hinder(describe(&error));
                Ok(None)
            }
        }
    }

    /// After a daemon that is no more: what it had decided and not done is done.
    pub(super) fn take_over(&mut self) -> Result<(), End> {
        let _ = self.enter()?;
        self.log.say(match self.record.lease {
            Some(_) => "the lease is taken up again",
            None => "the search for a lease is taken up again",
        });
        self.configure()
    }

    /// The lease that an ADD waits for: the interface plugin gives the interface what is reported to it.
    pub(super) fn begin(&mut self, lease: &Lease) -> Result<(), End> {
        self.record.configured = Some(lease.settings.clone());
        self.record.lease = Some(lease.clone());
        self.save().map_err(|error| End::Failed(error.into()))?;
        self.log.say(&format!("got {}", describe_lease(lease)));
        Ok(())
    }

    /// The same lease for some more time, or another one.
    pub(super) fn take(&mut self, lease: &Lease) -> Result<(), End> {
        let known = self.record.lease.replace(lease.clone()).map(|known| known.settings.address);
        self.note_failure(self.save());
        let now = describe_lease(lease);
        self.log.say(&match known {
            Some(known) if known == lease.settings.address => format!("renewed {now}"),
            Some(known) => format!("{known} has become {now}"),
            None => format!("got {now}"),
        });
        self.configure()
    }

    /// The lease has ended: takes its address and routes from the interface.
    pub(super) fn withdraw(&mut self, why: &str) -> Result<(), End> {
        let address = self.record.lease.take().map(|lease| lease.settings.address.to_string());
        self.note_failure(self.save());
        let address = address.unwrap_or_else(|| "its address".into());
        self.log.say(&format!("{why}: {address} is taken from the interface, and another lease is sought"));
        self.configure()
    }

    /// Gives the interface what the lease says, if that is not what it has.
    fn configure(&mut self) -> Result<(), End> {
        let wanted = self.settings();
        if wanted == self.record.configured {
            return Ok(());
        }
        let Some(inside) = self.enter()? else { return Ok(()) };
        match inside.reconfigure(self.record.configured.as_ref(), wanted.as_ref()) {
            Ok(()) => {
                self.record.configured = wanted;
                self.note_failure(self.save());
            }
            Err(error) => self.log.say(&format!("the interface cannot be changed: {}", describe(&error))),
        }
        Ok(())
    }

    /// Gives the lease back, if there is one. If that cannot be sent, the log says so, and there is no need to try again: the server
    /// takes it back when it ends.
    pub(super) async fn release(&mut self, client: &mut Client) {
        let Some(lease) = self.record.lease.take() else { return };
        let outcome = match self.record.place.enter() {
            Ok(inside) => client.release(inside, &lease).await,
            Err(error) => Err(error),
        };
        let address = lease.settings.address;
        self.log.say(&match outcome {
            Ok(()) => format!("released {address}"),
            Err(error) => format!("{address} is not released: {}", describe(&error)),
        });
    }

    /// Removes the file.
    pub(super) fn forget(&self) -> Result<(), Error> {
        self.store.remove(&self.key)
    }

    fn save(&self) -> Result<(), Error> {
        self.store.save(&self.key, &self.record)
    }

    pub(super) fn note_failure(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.log.say(&format!("{}; a restarted daemon will not know", describe(&error)));
        }
    }
}

fn describe_lease(lease: &Lease) -> String {
    let left = |moment: Moment| match moment {
        Moment::NEVER => "for ever".into(),
        moment => format!("for {} s", moment.since(Moment::now()).as_secs_f64().round()),
    };
    let server = match <[u8; 4]>::try_from(lease.server.as_slice()) {
        Ok(octets) => Ipv4Addr::from(octets).to_string(),
        Err(_) => lease.server.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    format!("{} from {server} {}", lease.settings.address, left(lease.expires_at))
}
