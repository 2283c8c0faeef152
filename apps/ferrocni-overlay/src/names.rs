//! Names across hosts: what this host's containers are called is told to others, and what others tell is left for the DNS server.
//!
//! Both sides are files: records that the plugin `dnsname` writes, in a folder that is watched, and a file for each other host on each
//! network ([`names::Elsewhere`]), which the DNS server watches. A network has the names of those of its lists that containers here are
//! on: their records say which list that is, their addresses which network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;

use cni::{Attachment, NetworkName};
use names::{Elsewhere, Known, Peer, Records, Told};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use overlay::{Endpoint, HostId};
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::joined::Reservations;

/// What is known of names, here and elsewhere.
#[derive(Debug)]
pub(crate) struct Names {
    inotify: Inotify,
    watched: AsyncFd<OwnedFd>,
    records: Records,
    /// Of this host's containers, by the list of plugins that they are on.
    here: BTreeMap<Attachment, Known>,
    elsewhere: Elsewhere,
    /// What the files of other hosts say.
    told: BTreeMap<Peer, Told>,
    /// The lists by which containers here are on a network.
    lists: BTreeMap<NetworkName, BTreeSet<NetworkName>>,
    /// Whether there may be files of lists that are no network's any more.
    has_other_lists: bool,
}

impl Names {
    /// Reads all there is, and what happens from then on is noticed.
    pub(crate) fn start() -> Result<Self, Error> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(io::Error::from);
        let inotify = inotify.map_err(Error::Runtime)?;
        let watched = sockets::watch(&inotify).map_err(Error::Runtime)?;
        let (records, elsewhere) = (Records::default(), Elsewhere::default());
        let mut names = Self {
            inotify,
            watched,
            records,
            elsewhere,
            here: BTreeMap::new(),
            told: BTreeMap::new(),
            lists: BTreeMap::new(),
            has_other_lists: true,
        };
        names.read_all()?;
        for peer in names.elsewhere.peers()? {
            // One that cannot be read is written anew.
            let told = names.elsewhere.read(&peer).unwrap_or_default();
            names.told.insert(peer, told);
        }
        Ok(names)
    }

    fn read_all(&mut self) -> Result<(), Error> {
        let path = self.records.path();
        let failed = |source| Error::Write { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
        self.inotify.add_watch(path, flags).map_err(|error| failed(error.into()))?;
        self.here.clear();
        for attachment in self.records.attachments()? {
            self.read(&attachment);
        }
        Ok(())
    }

    /// A record that cannot be read says nothing.
    fn read(&mut self, attachment: &Attachment) {
        match self.records.read(attachment) {
            Ok(Some(record)) => drop(self.here.insert(attachment.clone(), Known::from(&record))),
            _ => drop(self.here.remove(attachment)),
        }
    }

    /// Waits until records have changed, and returns the lists that they are of.
    pub(crate) async fn changed(&mut self) -> Result<BTreeSet<NetworkName>, Error> {
        let events = loop {
            let mut ready = self.watched.readable().await.map_err(Error::Runtime)?;
            if let Ok(events) = ready.try_io(|_| self.inotify.read_events().map_err(io::Error::from)) {
                break events.map_err(Error::Runtime)?;
            }
        };
        let mut lists = BTreeSet::new();
        for event in events {
            if event.mask.intersects(AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED) {
                lists.extend(self.here.keys().map(|attachment| attachment.network.clone()));
                self.read_all()?;
                lists.extend(self.here.keys().map(|attachment| attachment.network.clone()));
            }
            let name = event.name.as_ref().and_then(|name| name.to_str());
            if let Some(attachment) = name.and_then(files::attachment_of) {
                self.read(&attachment);
                lists.insert(attachment.network);
            }
        }
        Ok(lists)
    }

    /// What others are told of this host's containers on a network. The lists by which they are on it are remembered; whether
    /// they are others than before is returned as well.
    pub(crate) fn endpoints(
        &mut self,
        network: &NetworkName,
        reserved: &Reservations,
    ) -> (BTreeMap<Attachment, Endpoint>, bool) {
        let mut endpoints: BTreeMap<Attachment, Endpoint> = BTreeMap::new();
        for (address, attachment) in reserved {
            endpoints.entry(attachment.clone()).or_default().0.addresses.push(*address);
        }
        let mut lists = BTreeSet::from([network.clone()]);
        for (attachment, known) in &self.here {
            let on_network = Attachment { network: network.clone(), ..attachment.clone() };
            let Some(endpoint) = endpoints.get_mut(&on_network) else { continue };
            if known.addresses.iter().any(|address| endpoint.0.addresses.contains(address)) {
                let addresses = std::mem::take(&mut endpoint.0.addresses);
                *endpoint = Endpoint(Known { addresses, ..known.clone() });
                lists.insert(attachment.network.clone());
            }
        }
        let is_changed = self.lists.get(network) != Some(&lists);
        if is_changed {
            self.lists.insert(network.clone(), lists);
            self.has_other_lists = true;
        }
        (endpoints, is_changed)
    }

    /// Leaves what a host has told of a network for the DNS server.
    pub(crate) fn tell(&mut self, network: &NetworkName, host: &HostId, told: &Told) -> Result<(), Error> {
        for list in self.lists.get(network).into_iter().flatten() {
            let Some(peer) = Peer::new(list.clone(), host.as_str()) else { continue };
            let known = self.told.get(&peer);
            if known.map_or(told.is_empty(), |known| known == told) {
                continue;
            }
            self.elsewhere.write(&peer, told)?;
            if told.is_empty() { drop(self.told.remove(&peer)) } else { drop(self.told.insert(peer, told.clone())) }
        }
        Ok(())
    }

    /// The hosts that have told something of a network.
    pub(crate) fn hosts_of(&self, network: &NetworkName) -> BTreeSet<HostId> {
        let is_of_network = |list| self.lists.get(network).is_some_and(|lists| lists.contains(list));
        let hosts = self.told.keys().filter(|peer| is_of_network(peer.network()));
        hosts.filter_map(|peer| HostId::parse(peer.host()).ok()).collect()
    }

    /// Forgets a network.
    pub(crate) fn leave(&mut self, network: &NetworkName) {
        self.has_other_lists |= self.lists.remove(network).is_some();
    }

    /// Removes what was told of lists that are no network's any more, once the lists of all networks are known.
    pub(crate) fn remove_strange<'a>(
        &mut self,
        mut networks: impl Iterator<Item = &'a NetworkName>,
    ) -> Result<(), Error> {
        if !self.has_other_lists || !networks.all(|network| self.lists.contains_key(network)) {
            return Ok(());
        }
        let is_strange = |peer: &&Peer| !self.lists.values().any(|lists| lists.contains(peer.network()));
        let strange: Vec<_> = self.told.keys().filter(is_strange).cloned().collect();
        for peer in strange {
            self.elsewhere.write(&peer, &Told::new())?;
            self.told.remove(&peer);
        }
        self.has_other_lists = false;
        Ok(())
    }
}
