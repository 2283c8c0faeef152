//! All leases of a daemon, each with the task that keeps it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cni_plugin::{Attachment, Code, IfName, NetworkName};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};

use super::flags::Flags;
use super::holding::{Holding, Record};
use super::keeper::{Command, Keeper, Ready};
use super::place::{Place, PlaceError};
use crate::Error;
use crate::lease::Settings;
use crate::store::{Key, Store};
use crate::wishes::Wishes;
use ip::Family;

/// A task that had a bug begins again from its file, but not at once, or it might do nothing else.
const AFTER_A_BUG: Duration = Duration::from_secs(10);

pub(super) struct Leases {
    store: Store,
    flags: Flags,
    tasks: RefCell<HashMap<Key, Task>>,
    last: Cell<u64>,
}

/// How a task is reached, until it has ended.
struct Task {
    number: u64,
    place: Place,
    commands: mpsc::UnboundedSender<Command>,
}

/// A new lease that no caller has heard of yet. Dropped, it is released.
pub(super) struct Unclaimed {
    leases: Rc<Leases>,
    key: Key,
    number: u64,
    claimed: bool,
}

impl Unclaimed {
    pub(super) fn claim(mut self) {
        self.claimed = true;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(task) = self.leases.tasks.borrow().get(&self.key)
            && task.number == self.number
            && !self.claimed
        {
            let _ = task.commands.send(Command::Stop { release: true, done: oneshot::channel().0 });
        }
    }
}

impl Leases {
    pub(super) fn new(store: Store, flags: Flags) -> Self {
        Self { store, flags, tasks: RefCell::default(), last: Cell::default() }
    }

    pub(super) fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Takes up the leases of the daemon before this one.
    pub(super) fn resume(self: &Rc<Self>) {
        match self.store.sweep().and_then(|()| self.store.keys()) {
            Ok(keys) => keys.iter().for_each(|key| self.resume_one(key)),
            Err(error) => eprintln!("the leases cannot be taken up: {}", cni_plugin::Error::from(error)),
        }
    }

    fn resume_one(self: &Rc<Self>, key: &Key) {
        match self.store.load::<Record>(key) {
            Ok(Some(record)) => {
                self.start(key, record, None);
            }
            Ok(None) => {
                eprintln!("{key}: its file cannot be read and is removed");
                if let Err(error) = self.store.remove(key) {
                    eprintln!("{}", cni_plugin::Error::from(error));
                }
            }
            Err(error) => eprintln!("{}", cni_plugin::Error::from(error)),
        }
    }

    /// The interface of an ADD, set up so that it can speak.
    pub(super) fn place(&self, netns: &Path, ifname: &IfName, families: &[Family]) -> Result<Place, cni_plugin::Error> {
        let netns = PathBuf::from(format!("{}{}", self.flags.host_prefix, netns.display()));
        Place::find(&netns, ifname, families).map_err(|error| not_there(&error))
    }

    /// A lease for an interface: the one that it has, or a new one.
    pub(super) async fn allocate(
        self: &Rc<Self>,
        key: &Key,
        place: Place,
        wishes: &Wishes,
    ) -> Result<(Settings, Option<Unclaimed>), cni_plugin::Error> {
        if let Some((at, settings)) = self.current(key).await
            && at == place
        {
            return Ok((settings, None));
        }
        // Of another namespace, or without a lease: the server knows the client by its identifier, and gives the same again.
        if let Err(error) = self.stop(key, false).await {
            eprintln!("{}", cni_plugin::Error::from(error));
        }
        let (ready, outcome) = oneshot::channel();
        let record = Record { place, wishes: wishes.clone(), lease: None, configured: None };
        let number = self.start(key, record, Some(ready));
        let unclaimed = Unclaimed { leases: Rc::clone(self), key: key.clone(), number, claimed: false };
        let interrupted = || {
            cni_plugin::Error::new(Code::Internal, format!("the lease for {} was given up", key.attachment))
                .with_details("another ADD or DEL of the same container came in between, or the daemon's log says more")
        };
        let settings = outcome.await.unwrap_or_else(|_| Err(interrupted()))?;
        Ok((settings, Some(unclaimed)))
    }

    /// A lease and where it is.
    async fn current(&self, key: &Key) -> Option<(Place, Settings)> {
        let (answer, current) = oneshot::channel();
        let place = {
            let tasks = self.tasks.borrow();
            let task = tasks.get(key)?;
            task.commands.send(Command::Current(answer)).ok()?;
            task.place.clone()
        };
        Some((place, current.await.ok()??))
    }

    /// Ends the task of a lease, if there is one, and forgets the lease.
    async fn stop(&self, key: &Key, release: bool) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        let task = self.tasks.borrow().get(key).map(|task| task.commands.send(Command::Stop { release, done }));
        if matches!(task, Some(Ok(())))
            && let Ok(forgotten) = ended.await
        {
            return forgotten;
        }
        // It ended by itself, or was about to begin again after a bug.
        self.store.remove(key)
    }

    /// The same for all families of an attachment.
    pub(super) async fn release(&self, attachment: &Attachment) -> Result<(), Error> {
        let key = |family| Key { attachment: attachment.clone(), family };
        let (v4, v6) = (key(Family::V4), key(Family::V6));
        let (v4, v6) = tokio::join!(self.stop(&v4, true), self.stop(&v6, true));
        v4.and(v6)
    }

    /// The settings of an attachment's present leases, at most one of each family.
    pub(super) async fn held(&self, attachment: &Attachment) -> Vec<Settings> {
        let mut held = Vec::new();
        for family in Family::ALL {
            let key = Key { attachment: attachment.clone(), family };
            held.extend(self.current(&key).await.map(|(_, settings)| settings));
        }
        held
    }

    pub(super) fn holders(&self, network: &NetworkName) -> BTreeSet<Attachment> {
        let tasks = self.tasks.borrow();
        tasks.keys().map(|key| &key.attachment).filter(|holder| holder.network == *network).cloned().collect()
    }

    pub(super) fn renew_all(&self) {
        for task in self.tasks.borrow().values() {
            let _ = task.commands.send(Command::Renew);
        }
    }

    /// Starts the task of a lease, in the place of one that has ended. Tells its number.
    fn start(self: &Rc<Self>, key: &Key, record: Record, ready: Option<Ready>) -> u64 {
        let (commands, received) = mpsc::unbounded_channel();
        let number = self.last.get() + 1;
        self.last.set(number);
        let place = record.place.clone();
        let holding = Holding::new(key.clone(), record, self.store.clone());
        let keeper = Keeper::new(holding, &self.flags, received, ready);
        self.tasks.borrow_mut().insert(key.clone(), Task { number, place, commands });
        spawn_local(Rc::clone(self).watch(key.clone(), number, spawn_local(keeper.run())));
        number
    }

    /// Waits for a task's end. A bug costs the others nothing, and the lease only a pause.
    async fn watch(self: Rc<Self>, key: Key, number: u64, task: JoinHandle<()>) {
        let failed = task.await.is_err();
        if self.tasks.borrow().get(&key).is_some_and(|task| task.number == number) {
            self.tasks.borrow_mut().remove(&key);
        }
        if failed {
            eprintln!("{key}: the daemon has a bug, told above; the lease is taken up again from its file");
            tokio::time::sleep(AFTER_A_BUG).await;
            if !self.tasks.borrow().contains_key(&key) && matches!(self.store.load::<Record>(&key), Ok(Some(_))) {
                self.resume_one(&key);
            }
        }
    }
}

fn not_there(error: &PlaceError) -> cni_plugin::Error {
    let code = match error {
        PlaceError::Netlink(netlink::Error::Netns(_) | netlink::Error::LinkNotFound { .. }) => Code::InvalidEnvironment,
        _ => Code::Internal,
    };
    let told = cni_plugin::Error::from_chain(code, error);
    match error {
        PlaceError::Netlink(netlink::Error::LinkNotFound { .. }) => {
            told.with_details("an interface plugin makes the interface before it asks for an address")
        }
        _ => told,
    }
}
