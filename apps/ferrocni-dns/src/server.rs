//! What the server knows and where it listens.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;

use cni::Attachment;
use names::{ADDRESS, Elsewhere, PORT, Peer, Record, Records};
use netlink::{Netns, NetnsId};
use sockets::manager::Manager;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::directory::{Directory, Entry};
use crate::flags::Flags;
use crate::forward::Health;
use crate::limits::Limits;
use crate::place::{Place, Sockets};
use crate::tasks::Tasks;
use crate::watch::{self, Folders};
use crate::{log, resolv_conf, tcp, udp};

/// After each request, so many namespaces are looked at that nothing was heard of, in turn.
const LOOKED_AT: usize = 2;

/// Everything that one thread has to do with.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) directory: RefCell<Directory>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) health: Rc<Health>,
    pub(crate) folders: Folders,
    /// When there was a record more or less.
    pub(crate) changed: Notify,
    flags: Flags,
    records: Records,
    elsewhere: Elsewhere,
    manager: Option<Manager>,
    host: NetnsId,
    host_servers: RefCell<Vec<SocketAddr>>,
    places: RefCell<HashMap<Place, Listening>>,
    /// What an earlier server has listened with, until it is known which of it is needed.
    kept: RefCell<HashMap<Place, Sockets>>,
    processes: RefCell<HashMap<Attachment, OnDrop>>,
    /// Whom to look after next.
    rounds: RefCell<Vec<Attachment>>,
    problems: RefCell<BTreeMap<String, String>>,
}

/// Whom a place is for, and what is done there.
#[derive(Debug)]
struct Listening {
    users: HashSet<Attachment>,
    tasks: Rc<Tasks>,
}

/// A task that ends with the value.
#[derive(Debug)]
struct OnDrop(AbortHandle);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a record is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no record {0}")]
    NoRecord(String),
    #[error("{0:?} is not the name of a record: <network>:<container>:<interface>")]
    Name(String),
    #[error(transparent)]
    Record(#[from] names::Error),
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
    #[error("network namespace {} is gone, or another one has its path", .0.display())]
    Gone(PathBuf),
    #[error("cannot listen on port {} of {} (UDP and TCP)", address.port(), address.ip())]
    Listen { address: SocketAddr, source: io::Error },
}

impl Server {
    /// One that knows nothing yet.
    pub(crate) fn new(flags: Flags, kept: HashMap<Place, Sockets>, manager: Option<Manager>) -> io::Result<Rc<Self>> {
        let host = Netns::current().map_err(io::Error::other)?.id();
        Ok(Rc::new(Self {
            directory: RefCell::default(),
            limits: Rc::default(),
            health: Rc::default(),
            folders: Folders::new()?,
            changed: Notify::new(),
            records: Records::new(&flags.records),
            elsewhere: Elsewhere::new(&flags.elsewhere),
            flags,
            manager,
            host,
            host_servers: RefCell::default(),
            places: RefCell::default(),
            kept: RefCell::new(kept),
            processes: RefCell::default(),
            rounds: RefCell::default(),
            problems: RefCell::default(),
        }))
    }

    /// Reads all records and the host's servers, and closes what is not needed of what was kept.
    pub(crate) async fn load(self: &Rc<Self>) {
        self.read_host_servers();
        self.watch_records();
        let listed = self.records.attachments();
        for attachment in listed.as_deref().unwrap_or_default() {
            if let Err(error) = self.serve(attachment).await {
                log::trouble(&log::describe(&error));
            }
        }
        self.note("list", listed.map(drop).map_err(|error| log::describe(&error)));
        self.read_elsewhere();
        for (place, sockets) in self.kept.take() {
            drop(sockets);
            self.discard(place);
        }
    }

    /// Once more if the folder is another one.
    fn watch_records(&self) {
        let folder = self.records.path();
        self.note("records", self.folders.add(folder).map_err(|error| describe_watch(folder, &error)));
    }

    /// Reads all that is known of containers on other hosts.
    fn read_elsewhere(&self) {
        let folder = self.elsewhere.path();
        self.note("elsewhere", self.folders.add(folder).map_err(|error| describe_watch(folder, &error)));
        let listed = self.elsewhere.peers();
        let known = self.directory.borrow().peers();
        for peer in listed.iter().flatten().chain(&known) {
            self.hear_from(peer);
        }
        self.note("list elsewhere", listed.map(drop).map_err(|error| log::describe(&error)));
    }

    /// Whether the path is of a file of another host's names.
    pub(crate) fn is_elsewhere(&self, path: &std::path::Path) -> bool {
        path.starts_with(self.elsewhere.path())
    }

    /// Reads what there is of another host now.
    pub(crate) fn hear(&self, path: &std::path::Path) {
        let name = path.strip_prefix(self.elsewhere.path()).ok().and_then(|name| name.to_str());
        if let Some(peer) = name.and_then(Peer::of_file) {
            self.hear_from(&peer);
        }
    }

    /// What cannot be read leaves what is known.
    fn hear_from(&self, peer: &Peer) {
        let read = self.elsewhere.read(peer);
        let about = format!("{} on {}", peer.host(), peer.network());
        let outcome = read.map(|told| self.directory.borrow_mut().replace_elsewhere(peer.clone(), told));
        self.note(&about, outcome.map_err(|error| log::describe(&error)));
    }

    /// Reads a record, listens where its container asks, and answers its names from now on. One that is known is read again.
    pub(crate) async fn serve(self: &Rc<Self>, attachment: &Attachment) -> Result<(), Error> {
        let name = files::name_of(attachment);
        let served = self.take_in(attachment).await;
        // What is gone needs no names.
        let is_problem = !matches!(served, Err(Error::NoRecord(_) | Error::Gone(_)));
        self.note(
            &name,
            if is_problem { served.as_ref().map(drop).map_err(|error| log::describe(error)) } else { Ok(()) },
        );
        served
    }

    async fn take_in(self: &Rc<Self>, attachment: &Attachment) -> Result<(), Error> {
        let record = self.records.read(attachment)?.ok_or_else(|| Error::NoRecord(files::name_of(attachment)))?;
        if self.directory.borrow().get(attachment).is_some_and(|known| known.record == record) {
            return Ok(());
        }
        // First, so that nothing is missed.
        self.watch_records();
        self.follow(attachment, &record);
        let inside = record.namespace.open()?.ok_or_else(|| Error::Gone(record.namespace.path.clone()))?;
        let entry = Entry::new(attachment.clone(), record);
        let (earlier, places) = (self.places_of(attachment), Place::of(&entry));
        let heard = places.iter().try_for_each(|place| self.listen(*place, &inside, Some(attachment)));
        if heard.is_err() {
            self.leave(attachment, &places, &earlier).await;
            return heard;
        }
        self.directory.borrow_mut().insert(entry);
        self.changed.notify_waiters();
        self.leave(attachment, &earlier, &places).await;
        Ok(())
    }

    /// Answers an attachment's names no more, and closes what is open for it alone.
    pub(crate) async fn forget(&self, attachment: &Attachment) {
        let places = self.places_of(attachment);
        self.directory.borrow_mut().remove(attachment);
        self.processes.borrow_mut().remove(attachment);
        self.note(&files::name_of(attachment), Ok(()));
        self.changed.notify_waiters();
        self.leave(attachment, &places, &[]).await;
    }

    /// Who asks at a place from an address.
    pub(crate) fn asker(&self, place: Place, from: IpAddr) -> Option<NetnsId> {
        match place {
            Place::Inside(namespace, _) | Place::Inside6(namespace, _) => Some(namespace),
            Place::Gateway(gateway) => {
                let directory = self.directory.borrow();
                directory.behind_gateway(gateway, from.to_canonical()).map(|entry| entry.record.namespace.id())
            }
        }
    }

    /// The host's servers, but for what is this server itself.
    pub(crate) fn host_servers(&self) -> Vec<SocketAddr> {
        let places = self.places.borrow();
        let is_listened_on = |server: &SocketAddr| {
            let on_the_host = [Place::Gateway(server.ip()), Place::Inside(self.host, server.port())];
            let inside = server.ip() == ADDRESS && places.contains_key(&on_the_host[1]);
            inside || (server.port() == PORT && places.contains_key(&on_the_host[0]))
        };
        self.host_servers.borrow().iter().filter(|server| !is_listened_on(server)).copied().collect()
    }

    /// Reads the host's servers again. What cannot be read leaves those that are known.
    pub(crate) fn read_host_servers(&self) {
        let path = &self.flags.resolv_conf;
        for folder in resolv_conf::paths(path).iter().filter_map(|path| path.parent()) {
            if let Err(error) = self.folders.add(folder) {
                log::trouble(&describe_watch(folder, &error));
            }
        }
        let read = resolv_conf::servers(path);
        if let Ok(servers) = &read {
            self.host_servers.replace(servers.clone());
        }
        self.note(
            "servers",
            match read {
                Ok(servers) if servers.is_empty() => {
                    Err(format!("{} names no DNS server: only the names of containers are known", path.display()))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(format!("cannot read {}: {error}", path.display())),
            },
        );
    }

    /// Whether the path is one that the host's servers are read from.
    pub(crate) fn is_about_host_servers(&self, path: &std::path::Path) -> bool {
        resolv_conf::paths(&self.flags.resolv_conf).iter().any(|file| file == path)
    }

    /// The attachment whose record is at that path.
    pub(crate) fn attachment_at(&self, path: &std::path::Path) -> Option<Attachment> {
        let name = path.strip_prefix(self.records.path()).ok()?;
        files::attachment_of(name.to_str()?)
    }

    /// Forgets those records of a namespace's path that is not there any more.
    pub(crate) async fn look_at(&self, path: &std::path::Path) {
        let concerned: Vec<_> = {
            let directory = self.directory.borrow();
            let at_path = directory.entries().filter(|entry| entry.record.namespace.path == path);
            at_path.map(|entry| entry.attachment.clone()).collect()
        };
        for attachment in concerned {
            self.look_after(&attachment).await;
        }
    }

    /// Forgets a record whose namespace is not there any more.
    pub(crate) async fn look_after(&self, attachment: &Attachment) {
        let entry = self.directory.borrow().get(attachment).map(Rc::clone);
        if entry.is_some_and(|entry| matches!(entry.record.namespace.exists(), Ok(false))) {
            self.forget(attachment).await;
        }
    }

    /// Looks after a few records, in turn: what could have told of their end may have been missed.
    pub(crate) async fn look_around(&self) {
        if self.rounds.borrow().is_empty() {
            self.rounds.borrow_mut().extend(self.attachments());
        }
        for _ in 0..LOOKED_AT {
            let next = self.rounds.borrow_mut().pop();
            let Some(attachment) = next else { return };
            self.look_after(&attachment).await;
        }
    }

    fn attachments(&self) -> Vec<Attachment> {
        self.directory.borrow().entries().map(|entry| entry.attachment.clone()).collect()
    }

    /// Compares everything with the files, and with what exists.
    pub(crate) async fn reload(self: &Rc<Self>) {
        let known = self.attachments();
        if let Ok(listed) = self.records.attachments() {
            let listed: HashSet<_> = listed.into_iter().collect();
            for attachment in known.iter().filter(|attachment| !listed.contains(attachment)) {
                self.forget(attachment).await;
            }
        }
        for attachment in &known {
            self.look_after(attachment).await;
        }
        self.load().await;
    }

    /// How the server is.
    pub(crate) fn status(&self) -> names::wire::Status {
        let directory = self.directory.borrow();
        let upstreams = self.host_servers();
        let silent = self.health.silent(&upstreams).into_iter().map(|server| format!("{server} does not answer"));
        names::wire::Status {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            namespaces: directory.namespaces(),
            records: directory.len(),
            names: directory.names(),
            problems: self.problems.borrow().values().cloned().chain(silent).collect(),
            upstreams,
        }
    }

    pub(crate) fn note(&self, about: &str, outcome: Result<(), String>) {
        let mut problems = self.problems.borrow_mut();
        match outcome {
            Ok(()) => drop(problems.remove(about)),
            Err(problem) => drop(problems.insert(about.to_owned(), problem)),
        }
    }

    /// Has itself told when the namespace's path, or the process whose it is, goes.
    fn follow(self: &Rc<Self>, attachment: &Attachment, record: &Record) {
        let path = &record.namespace.path;
        let followed = match (watch::process_of(path), path.parent()) {
            // A process that has ended has no namespace either, as will be seen.
            (Some(pid), _) => watch::open_process(pid)
                .map(|process| {
                    let (server, attachment) = (Rc::downgrade(self), attachment.clone());
                    let task = async move {
                        if watch::wait_for_end_of(process).await.is_ok()
                            && let Some(server) = server.upgrade()
                        {
                            tokio::task::spawn_local(async move { server.look_after(&attachment).await });
                        }
                    };
                    OnDrop(tokio::task::spawn_local(task).abort_handle())
                })
                .map(|task| drop(self.processes.borrow_mut().insert(attachment.clone(), task))),
            (None, Some(folder)) => self.folders.add(folder),
            (None, None) => Ok(()),
        };
        if let Err(error) = followed {
            log::trouble(&describe_watch(path, &error));
        }
    }

    /// Listens for the host's own programs, if that is wanted.
    pub(crate) fn listen_on_host(self: &Rc<Self>) {
        if self.flags.host {
            let here = Netns::current().map_err(Error::from);
            let heard = here.and_then(|here| self.listen(Place::Inside(self.host, PORT), &here, None));
            self.note("host", heard.map_err(|error| log::describe(&error)));
        }
    }

    /// Whether the asker is the host.
    pub(crate) fn is_host(&self, asker: NetnsId) -> bool {
        self.flags.host && asker == self.host
    }

    /// Listens at a place for an attachment, or without one for the host.
    fn listen(self: &Rc<Self>, place: Place, inside: &Netns, user: Option<&Attachment>) -> Result<(), Error> {
        let mut places = self.places.borrow_mut();
        if let Some(listening) = places.get_mut(&place) {
            listening.users.extend(user.cloned());
            return Ok(());
        }
        let kept = self.kept.borrow_mut().remove(&place);
        let failed = |source| Error::Listen { address: place.address(), source };
        let sockets = kept
            .map_or_else(|| place.open(inside, user).inspect(|sockets| self.store(place, sockets)), Ok)
            .map_err(failed)?;
        let (udp, tcp) =
            (UdpSocket::from_std(sockets.udp).map_err(failed)?, TcpListener::from_std(sockets.tcp).map_err(failed)?);
        let tasks = Rc::new(Tasks::default());
        tasks.spawn(udp::serve(Rc::clone(self), place, udp, Rc::downgrade(&tasks)));
        tasks.spawn(tcp::serve(Rc::clone(self), place, tcp, Rc::downgrade(&tasks)));
        places.insert(place, Listening { users: user.cloned().into_iter().collect(), tasks });
        Ok(())
    }

    fn places_of(&self, attachment: &Attachment) -> Vec<Place> {
        self.directory.borrow().get(attachment).map(|entry| Place::of(entry)).unwrap_or_default()
    }

    /// Closes those of the places that are not needed and were open for the attachment alone.
    async fn leave(&self, attachment: &Attachment, places: &[Place], needed: &[Place]) {
        for place in places.iter().filter(|place| !needed.contains(place)) {
            if let Some(listening) = self.take_from(*place, attachment) {
                listening.tasks.stop().await;
                self.discard(*place);
            }
        }
    }

    /// What is open at a place that nobody else uses.
    fn take_from(&self, place: Place, attachment: &Attachment) -> Option<Listening> {
        let mut places = self.places.borrow_mut();
        let listening = places.get_mut(&place)?;
        listening.users.remove(attachment);
        if listening.users.is_empty() { places.remove(&place) } else { None }
    }

    fn store(&self, place: Place, sockets: &Sockets) {
        if let Some(Err(error)) =
            self.manager.as_ref().map(|manager| manager.store(&place.to_string(), &sockets.descriptors()))
        {
            log::trouble(&format!("systemd does not keep sockets for the next server: {error}"));
        }
    }

    fn discard(&self, place: Place) {
        if let Some(Err(error)) = self.manager.as_ref().map(|manager| manager.discard(&place.to_string())) {
            log::trouble(&format!("systemd does not close the sockets of {place}: {error}"));
        }
    }

    /// Tells systemd that names are answered.
    pub(crate) fn ready(&self) {
        if let Some(Err(error)) = self.manager.as_ref().map(Manager::ready) {
            log::trouble(&format!("systemd cannot be told that the server is ready: {error}"));
        }
    }

    /// Waits until there has been no record for that time.
    pub(crate) async fn idle_for(&self, time: std::time::Duration) {
        loop {
            let changed = self.changed.notified();
            if self.directory.borrow().len() > 0 {
                changed.await;
            } else if tokio::time::timeout(time, changed).await.is_err() {
                return;
            }
        }
    }
}

fn describe_watch(path: &std::path::Path, error: &io::Error) -> String {
    format!("cannot notice changes of {}: {error}", path.display())
}
