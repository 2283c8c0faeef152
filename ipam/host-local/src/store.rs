//! The folder of a network's reservations, shared with the reference host-local.
//!
//! ```text
//! <dataDir>/<network>/           0755
//!     lock                       held with flock(2) by whoever reads or changes anything
//!     10.1.2.3                   0600, "<container id>\r\n<interface>": a reservation
//!     last_reserved_ip.<set>     where the round of each range set stands
//!     .ferrocni/                 0700, ours; the reference passes it by
//!         <container>:<interface>:<n>    symbolic link to ../<address>: what this attachment holds; n counts from 0
//!         seal                   "<boot id> <modification time of the network's folder>"
//! ```
//!
//! The reservations are the truth, the links only find them: who holds an address is always read from its file. The seal
//! says that every reservation has its link. After each change the folder's modification time is set to the nanosecond and
//! noted in the seal; whoever else changes the folder (the reference, a person, a process of ours that was killed) changes
//! that time with it, which breaks the seal. Then everything is read once and linked again. (Only a reservation rewritten in
//! place would go unnoticed; nobody does that.) So a reservation and its release cost the same with ten and with ten
//! thousand others, and no program has to know of the links. The reference removes every path below the folder whose content
//! matches, through links too, and so cleans them up itself.
//!
//! A reservation appears whole or not at all: it is written under another name and then linked to its own. Nothing is
//! synced to the disk, because what a crash of the host could damage is taken back at the next boot anyway.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cni_plugin::{Failures, NetworkName};

use crate::Error;
use crate::boot::{self, read_short};
use crate::owner::{Holder, Owner};

/// The most that is read of a reservation, in bytes: more than any container id and interface name have.
const MAX_CONTENT: u64 = 1024;

/// The seal's file name.
const SEAL: &str = "seal";

/// The locked folder of a network.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    links: PathBuf,
    boot: String,
    /// Something was changed since the seal was set.
    changed: bool,
    /// Reservations that could not get a link, on a full disk for instance.
    unlinked: Vec<(IpAddr, Owner)>,
    /// Declared last, so that it is let go last.
    _lock: File,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.into(), source }
}

/// The file that the reference locks with flock(2), as [`File::lock`] does.
fn open_lock(dir: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join("lock"))
}

/// Missing is as good as done.
fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Store {
    /// Opens and locks the network's folder, making it if there is none, and takes back what is from before this boot.
    ///
    /// # Errors
    /// The folder cannot be made, read or written.
    pub fn open(data_dir: &Path, network: &NetworkName) -> Result<Self, Error> {
        if let Some(store) = Self::open_existing(data_dir, network)? {
            return Ok(store);
        }
        let dir = data_dir.join(network.as_str());
        DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(failed("create folder", &dir))?;
        let lock = open_lock(&dir).map_err(failed("open the lock in", &dir))?;
        Self::locked(dir, lock)
    }

    /// As [`Store::open`], but `None` if the network has no folder: nothing was ever reserved.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open_existing(data_dir: &Path, network: &NetworkName) -> Result<Option<Self>, Error> {
        let dir = data_dir.join(network.as_str());
        match open_lock(&dir) {
            Ok(lock) => Self::locked(dir, lock).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open the lock in", &dir)(error)),
        }
    }

    fn locked(dir: PathBuf, lock: File) -> Result<Self, Error> {
        lock.lock().map_err(failed("lock", &dir))?;
        let boot = boot::id().unwrap_or_default();
        let links = dir.join(".ferrocni");
        let mut store = Self { dir, links, boot, changed: false, unlinked: Vec::new(), _lock: lock };
        store.catch_up()?;
        Ok(store)
    }

    /// The network's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who holds an address.
    ///
    /// # Errors
    /// The reservation cannot be read.
    pub fn holder(&self, address: IpAddr) -> Result<Holder, Error> {
        let path = self.path(address);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
            Ok(found) if !found.is_file() => return Ok(Holder::Unknown),
            _ => {}
        }
        let mut content = String::new();
        match File::open(&path).and_then(|file| file.take(MAX_CONTENT).read_to_string(&mut content)) {
            Ok(_) => Ok(Owner::parse(&content).map_or(Holder::Unknown, Holder::Owner)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Holder::Unknown),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The addresses that an attachment holds, in the order it got them; those of its container's old files last.
    ///
    /// # Errors
    /// A reservation cannot be read.
    pub fn held_by(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let mut held = self.held_exactly_by(owner)?;
        held.extend(self.held_exactly_by(&owner.without_interface())?);
        Ok(held)
    }

    /// Every address that has a file, by the folder's listing alone.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn addresses(&self) -> Result<Vec<IpAddr>, Error> {
        let mut addresses = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed("list", &self.dir))? {
            let name = entry.map_err(failed("list", &self.dir))?.file_name();
            addresses.extend(name.to_str().and_then(|name| name.parse::<IpAddr>().ok()));
        }
        Ok(addresses)
    }

    /// Reserves an address; `false` if it is taken, by whomever.
    ///
    /// # Errors
    /// The reservation cannot be written; it does not exist then.
    pub fn reserve(&mut self, owner: &Owner, address: IpAddr) -> Result<bool, Error> {
        let path = self.path(address);
        if fs::symlink_metadata(&path).is_ok() {
            return Ok(false);
        }
        self.changed = true;
        // The link comes first, so that at no moment a reservation of ours is there that no link leads to.
        let link = self.link(owner, address).map_err(|error| self.why_unlinked(error))?;
        let outcome = self.write_new(&owner.content()).and_then(|new| {
            let linked = fs::hard_link(&new, &path).map_err(failed("create", &path));
            let _ = fs::remove_file(new);
            linked
        });
        if outcome.is_err() {
            let _ = fs::remove_file(link);
        }
        match outcome {
            // Somebody who does not take the lock was faster.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Frees one address if this owner holds it.
    ///
    /// # Errors
    /// The reservation cannot be removed.
    pub fn release_address(&mut self, owner: &Owner, address: IpAddr) -> Result<(), Error> {
        if self.holder(address)? == Holder::Owner(owner.clone()) {
            self.remove(address)?;
        }
        self.drop_links(owner, |_, target| Ok(target == address))
    }

    /// Frees everything that an owner holds, or if that is nothing, what its container holds in the old form.
    ///
    /// # Errors
    /// Every reservation that cannot be removed.
    pub fn release(&mut self, owner: &Owner) -> Result<(), cni_plugin::Error> {
        let mut failures = Failures::new();
        if !self.release_exactly(owner, &mut failures) {
            self.release_exactly(&owner.without_interface(), &mut failures);
        }
        failures.into_result()
    }

    /// Frees every address whose owner is not `valid`, and removes links that lead nowhere. Files that name no container,
    /// and those made read-only, are left alone.
    ///
    /// # Errors
    /// Everything that cannot be read or removed.
    pub fn retain(&mut self, valid: impl Fn(&Owner) -> bool) -> Result<(), cni_plugin::Error> {
        let mut failures = Failures::new();
        for address in self.addresses()? {
            let holder = failures.note(self.holder(address));
            if matches!(holder, Some(Holder::Owner(owner)) if !valid(&owner)) && !self.is_protected(address) {
                failures.note(self.remove(address));
            }
        }
        failures.note(self.drop_dangling_links());
        failures.into_result()
    }

    /// Frees what this very owner holds; whether that was anything.
    fn release_exactly(&mut self, owner: &Owner, failures: &mut Failures) -> bool {
        let Some(held) = failures.note(self.held_exactly_by(owner)) else { return true };
        for address in &held {
            failures.note(self.remove(*address));
        }
        // One whose reservation could not be removed stays, so that it is found again.
        let goes = |store: &Self, address| store.holder(address).map(|holder| !owner.shares_links_with(&holder));
        failures.note(self.drop_links(owner, goes));
        !held.is_empty()
    }

    /// Where the round of a range set stands. A file that says nothing of use only costs the round its place.
    #[must_use]
    pub fn last_reserved(&self, set: usize) -> Option<IpAddr> {
        read_short(&self.last_reserved_path(set)).ok()?.trim().parse().ok()
    }

    /// Notes where the round of a range set stands.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there then.
    pub fn set_last_reserved(&mut self, set: usize, address: IpAddr) -> Result<(), Error> {
        self.changed = true;
        let path = self.last_reserved_path(set);
        fs::rename(self.write_new(&address.to_string())?, &path).map_err(failed("write", &path))
    }

    /// Writes and removes a file, to see whether that is possible.
    ///
    /// # Errors
    /// It is not.
    pub fn try_writing(&self) -> Result<(), Error> {
        let path = self.write_new("nobody")?;
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_string())
    }

    fn last_reserved_path(&self, set: usize) -> PathBuf {
        self.dir.join(format!("last_reserved_ip.{set}"))
    }

    fn remove(&mut self, address: IpAddr) -> Result<(), Error> {
        self.changed = true;
        let path = self.path(address);
        unless_missing(fs::remove_file(&path)).map_err(failed("remove", &path))
    }

    /// Writes a file under a name that nobody looks at; the caller moves it to where it belongs.
    fn write_new(&self, content: &str) -> Result<PathBuf, Error> {
        let path = self.links.join("new");
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = create().or_else(|error| match error.kind() {
            // of a process that was killed; not written into, because it may be a reservation's other name by now
            ErrorKind::AlreadyExists => fs::remove_file(&path).and_then(|()| create()),
            _ => Err(error),
        });
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(failed("write", &path))?;
        Ok(path)
    }

    /// Whether somebody took the right to write away from a reservation, to say that it is to stay.
    fn is_protected(&self, address: IpAddr) -> bool {
        fs::symlink_metadata(self.path(address)).is_ok_and(|file| !file.is_file() || file.permissions().readonly())
    }
}

/// What finds reservations without reading them all, and what happens when it cannot be relied on.
impl Store {
    /// Brings the links up to date if somebody else changed the folder, and frees what is from before this boot.
    fn catch_up(&mut self) -> Result<(), Error> {
        let seal = read_short(&self.links.join(SEAL)).unwrap_or_default();
        let (boot, time) = seal.split_once(' ').unwrap_or_default();
        let modified = fs::metadata(&self.dir).and_then(|dir| dir.modified()).map_err(failed("look at", &self.dir))?;
        let (same_boot, untouched) = (boot == self.boot, time == time_text(modified));
        if same_boot && untouched {
            return Ok(());
        }
        match self.make_links_folder() {
            // On a full disk, perhaps, where a DEL is most welcome; an ADD will fail and say why.
            Err(Error::Io { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        if !same_boot && !self.boot.is_empty() {
            self.take_back(untouched)?;
        }
        if !untouched {
            self.link_all()?;
        }
        // Without a seal, the next one has to look again: slower, but no reason to fail.
        let _ = self.seal();
        Ok(())
    }

    /// Says that every reservation has its link now.
    fn seal(&mut self) -> io::Result<()> {
        let now = SystemTime::now();
        let folder = File::open(&self.dir)?;
        folder.set_modified(now)?;
        // A file system that keeps whole seconds only cannot tell who changed the folder; without a seal, we always look.
        if self.unlinked.is_empty() && folder.metadata()?.modified()? == now {
            fs::write(self.links.join(SEAL), format!("{} {}", self.boot, time_text(now)))?;
        }
        self.changed = false;
        Ok(())
    }

    fn make_links_folder(&self) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(&self.links) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match fs::symlink_metadata(&self.links) {
                Ok(found) if found.is_dir() => Ok(()),
                _ => Err(Error::NotAFolder(self.links.clone())),
            },
            outcome => outcome.map_err(failed("create folder", &self.links)),
        }
    }

    /// A link cannot be made. If that is for want of its folder, what kept that from being made is the better answer.
    fn why_unlinked(&self, error: io::Error) -> Error {
        let folder = if error.kind() == ErrorKind::NotFound { self.make_links_folder() } else { Ok(()) };
        folder.err().unwrap_or_else(|| failed("make a link in", &self.links)(error))
    }

    /// Frees what no container of this boot can hold. If nobody touched the folder since we sealed it in an earlier boot,
    /// that is everything, whatever the clock says. Otherwise the reference may have made reservations in this boot, and only
    /// what is provably older goes.
    fn take_back(&mut self, everything: bool) -> Result<(), Error> {
        let before = boot::earliest();
        for address in self.addresses()? {
            let modified = fs::symlink_metadata(self.path(address)).and_then(|file| file.modified()).ok();
            let older = modified.zip(before).is_some_and(|(modified, before)| modified < before);
            if (everything || older) && !self.is_protected(address) {
                // What cannot be removed stays reserved, and is no reason to give no address at all.
                let _ = self.remove(address);
            }
        }
        let _ = self.drop_dangling_links();
        Ok(())
    }

    /// Gives every reservation its link; remembers those that cannot have one.
    fn link_all(&mut self) -> Result<(), Error> {
        for address in self.addresses()? {
            if let Ok(Holder::Owner(owner)) = self.holder(address)
                && self.link(&owner, address).is_err()
            {
                self.unlinked.push((address, owner));
            }
        }
        Ok(())
    }

    /// Makes the link that leads from an owner to an address, if it is not there yet.
    fn link(&self, owner: &Owner, address: IpAddr) -> io::Result<PathBuf> {
        let mut n = 0;
        loop {
            let link = self.links.join(owner.link_name(n));
            match symlink(format!("../{address}"), &link) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                outcome => return outcome.map(|()| link),
            }
            match link_target(&link) {
                Some(target) if target == address => return Ok(link),
                Some(target) if self.holder(target).is_ok_and(|holder| owner.shares_links_with(&holder)) => n += 1,
                _ => fs::remove_file(&link)?,
            }
        }
    }

    /// Where the owner's links lead, by their numbers. Each may be somebody else's address by now. There is never a gap in
    /// the numbers: we leave none, and if somebody else removed one, the seal was broken and all were numbered again.
    fn targets_of(&self, owner: &Owner) -> Vec<IpAddr> {
        (0..).map_while(|n| link_target(&self.links.join(owner.link_name(n)))).collect()
    }

    /// Removes those of the owner's links that `goes` says, going on past failures; the last one takes the number of one that
    /// goes.
    fn drop_links(&self, owner: &Owner, goes: impl Fn(&Self, IpAddr) -> Result<bool, Error>) -> Result<(), Error> {
        let mut outcome = Ok(());
        let mut targets = self.targets_of(owner);
        for n in (0..targets.len()).rev() {
            match goes(self, targets[n]) {
                Ok(false) => {}
                Ok(true) => {
                    outcome = outcome.and(self.drop_link(owner, n, targets.len() - 1));
                    targets.swap_remove(n);
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn drop_link(&self, owner: &Owner, n: usize, last: usize) -> Result<(), Error> {
        let [link, last] = [n, last].map(|n| self.links.join(owner.link_name(n)));
        let gone = if link == last { fs::remove_file(&link) } else { fs::rename(&last, &link) };
        unless_missing(gone).map_err(failed("remove", &link))
    }

    fn held_exactly_by(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let mut held = Vec::new();
        for address in self.targets_of(owner) {
            if self.holder(address)? == Holder::Owner(owner.clone()) {
                held.push(address);
            }
        }
        held.extend(self.unlinked.iter().filter(|(_, holder)| holder == owner).map(|(address, _)| *address));
        Ok(held)
    }

    fn unlink(&self, link: &Path) -> Result<(), Error> {
        unless_missing(fs::remove_file(link)).map_err(failed("remove", link))
    }

    fn drop_dangling_links(&self) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.links) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed("list", &self.links))?,
        };
        for entry in entries {
            let link = entry.map_err(failed("list", &self.links))?.path();
            if link_target(&link).is_some_and(|address| fs::symlink_metadata(self.path(address)).is_err()) {
                self.unlink(&link)?;
            }
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.changed {
            let _ = self.seal();
        }
    }
}

/// The address that a link of ours leads to; `None` if it is no such link.
fn link_target(link: &Path) -> Option<IpAddr> {
    fs::read_link(link).ok()?.file_name()?.to_str()?.parse().ok()
}

/// A time as it stands in the seal.
fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
