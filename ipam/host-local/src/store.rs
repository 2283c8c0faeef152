//! The folder of a network's reservations, shared with the reference host-local.
//!
//! ```text
//! <dataDir>/<network>/           0755
//!     lock                       held with flock(2) while anything is read or changed
//!     10.1.2.3                   0600, "<container id>\r\n<interface>": a reservation
//!     last_reserved_ip.<set>     where the round of each range set stands
//!     .ferrocni/                 0700, ours; the reference passes it by
//!         <container>:<interface>:<n>    symbolic link to ../<address>: what this attachment holds; n counts from 0
//!         seal                   "<boot id> <modification time of the network's folder>"
//! ```
//!
//! The reservations are the truth, the links only find them: who holds an address is always read from its file. The seal
//! says that every reservation has its link. After each change the folder's modification time is set to the nanosecond and
//! noted in the seal; any other change to the folder (by the reference, by a person, by a process of ours that was killed)
//! changes that time as well, which breaks the seal. Then everything is read once and linked again. So a reservation and its release
//! cost the same with ten and with ten thousand others, and no program has to know of the links. The reference removes every
//! path below the folder whose content matches, through links too, and so cleans them up itself.
//!
//! What only looks (CHECK) changes nothing: without a seal it reads everything and forgets it again. Nothing is sealed after a
//! failure, nor while the boot's id is not known: the next process reads everything then, which costs time and no address.
//!
//! A reservation appears whole or not at all: it is written under another name and then linked to its own. Nothing is
//! synced to the disk, because what a crash of the host could damage is taken back at the next boot anyway.

mod links;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cni_plugin::{Failures, NetworkName};

use crate::Error;
use crate::boot;
use crate::owner::{Holder, Owner};

/// The most that is read of a file here, in bytes: more than any container id and interface name have.
const MAX_CONTENT: usize = 1024;

/// A file of fewer bytes is looked into, where it is asked for empty ones.
const SHORT: u64 = 8;

/// The locked folder of a network.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    links: PathBuf,
    /// This boot, if it is known.
    boot: Option<String>,
    /// Something was changed since the seal was set.
    changed: bool,
    /// What is from before this boot could not all be removed.
    incomplete: bool,
    /// Reservations that no link leads to: on a full disk, for instance.
    unlinked: Vec<(IpAddr, Owner)>,
    /// Where the free numbers of an owner's links begin at the earliest, by the links' names.
    numbered: HashMap<String, usize>,
    /// Declared last, so that it is let go last.
    _lock: File,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.into(), source }
}

impl Store {
    /// Opens and locks the network's folder, making it if there is none, and takes back what is from before this boot.
    ///
    /// # Errors
    /// The folder cannot be made, read or written.
    pub fn open(data_dir: &Path, network: &NetworkName) -> Result<Self, Error> {
        let mut store = Self::made(data_dir, network)?;
        store.catch_up()?;
        Ok(store)
    }

    /// As [`Store::open`], but `None` if the network has no folder: nothing was ever reserved.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open_existing(data_dir: &Path, network: &NetworkName) -> Result<Option<Self>, Error> {
        let Some(mut store) = Self::locked(data_dir.join(network.as_str()))? else { return Ok(None) };
        store.catch_up()?;
        Ok(Some(store))
    }

    /// As [`Store::open_existing`], for looking only: nothing is changed, and nothing taken back.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn look(data_dir: &Path, network: &NetworkName) -> Result<Option<Self>, Error> {
        let Some(mut store) = Self::locked(data_dir.join(network.as_str()))? else { return Ok(None) };
        store.find_unlinked()?;
        Ok(Some(store))
    }

    /// Removes the folder of a network that is no more, unless an address is reserved in it, or somebody has put a file there.
    ///
    /// # Errors
    /// The folder cannot be read or changed.
    pub fn forget(data_dir: &Path, network: &NetworkName) -> Result<(), Error> {
        let Some(store) = Self::open_existing(data_dir, network)? else { return Ok(()) };
        if !store.addresses()?.is_empty() {
            return Ok(());
        }
        for entry in fs::read_dir(&store.dir).map_err(failed("list", &store.dir))? {
            let entry = entry.map_err(failed("list", &store.dir))?;
            let (path, name) = (entry.path(), entry.file_name());
            if name.as_encoded_bytes().starts_with(b"last_reserved_ip.") || name == "lock" {
                files::remove(&path).map_err(failed("remove", &path))?;
            }
        }
        if store.metadata(&store.links)?.is_some() {
            fs::remove_dir_all(&store.links).map_err(failed("remove", &store.links))?;
        }
        match fs::remove_dir(&store.dir) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            outcome => outcome.map_err(failed("remove", &store.dir)),
        }
    }

    /// Whether reservations could be made: writes and removes a file.
    ///
    /// # Errors
    /// They could not.
    pub fn try_writing(data_dir: &Path, network: &NetworkName) -> Result<(), Error> {
        let store = Self::made(data_dir, network)?;
        store.make_links_folder()?;
        let path = store.write_new("nobody")?;
        files::remove(&path).map_err(failed("remove", &path))
    }

    /// Locks the folder, which is made if it is missing.
    fn made(data_dir: &Path, network: &NetworkName) -> Result<Self, Error> {
        let dir = data_dir.join(network.as_str());
        if let Some(store) = Self::locked(dir.clone())? {
            return Ok(store);
        }
        DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(failed("create folder", &dir))?;
        let lock = files::lock(&dir.join("lock")).map_err(failed("lock", &dir.join("lock")))?;
        Ok(Self::with(dir, lock))
    }

    /// Locks the folder, if there is one. The reference locks the same file, with flock(2) as well.
    fn locked(dir: PathBuf) -> Result<Option<Self>, Error> {
        match files::lock(&dir.join("lock")) {
            Ok(lock) => Ok(Some(Self::with(dir, lock))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("lock", &dir.join("lock"))(error)),
        }
    }

    fn with(dir: PathBuf, lock: File) -> Self {
        Self {
            links: dir.join(".ferrocni"),
            dir,
            boot: boot::id(),
            changed: false,
            incomplete: false,
            unlinked: Vec::new(),
            numbered: HashMap::new(),
            _lock: lock,
        }
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
        match files::read(&path, MAX_CONTENT) {
            Ok(content) => Ok(Holder::of(&content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Holder::Free),
            Err(error) if is_no_word_of_ours(&error) => Ok(Holder::Unknown),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The addresses that an attachment holds, in the order it got them; those of its container's old files last.
    ///
    /// # Errors
    /// A reservation cannot be read.
    pub fn held_by(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let (mut held, old) = self.holdings(owner)?;
        held.extend(old);
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

    /// Reserves an address; `false` if it is taken already.
    ///
    /// # Errors
    /// The reservation cannot be written; it does not exist then.
    pub fn reserve(&mut self, owner: &Owner, address: IpAddr) -> Result<bool, Error> {
        let path = self.path(address);
        if self.metadata(&path)?.is_some() {
            return Ok(false);
        }
        self.changed = true;
        // The link comes first, so that at no moment a reservation of ours is there that no link leads to.
        let link = self.link(owner, address)?;
        match self.write_reservation(owner, &path) {
            // A program that does not take the lock was faster.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                self.take_link_back(owner, &link)?;
                Ok(false)
            }
            Err(error) => {
                // The earlier failure is more useful, and a dangling link does no harm.
                let _ = self.take_link_back(owner, &link);
                Err(error)
            }
            Ok(()) => Ok(true),
        }
    }

    fn write_reservation(&self, owner: &Owner, path: &Path) -> Result<(), Error> {
        let new = self.write_new(&owner.content())?;
        let linked = fs::hard_link(&new, path).map_err(failed("create", path));
        // If it stays, the next one to be written takes it away.
        let _ = files::remove(&new);
        linked
    }

    /// Frees those of the addresses that this owner holds.
    ///
    /// # Errors
    /// Every reservation that cannot be read or removed.
    pub fn release_addresses(&mut self, owner: &Owner, addresses: &[IpAddr]) -> Result<(), cni_plugin::Error> {
        let mut failures = Failures::new();
        for address in addresses {
            if matches!(failures.note(self.holder(*address)), Some(Holder::Owner(holder)) if holder == *owner) {
                failures.note(self.remove(*address));
            }
        }
        failures.note(self.drop_links(owner));
        self.sealed_unless(failures)
    }

    /// Frees everything that an owner holds, or if that is nothing, what its container holds in the old form.
    ///
    /// # Errors
    /// Every reservation that cannot be read or removed.
    pub fn release(&mut self, owner: &Owner) -> Result<(), cni_plugin::Error> {
        let mut failures = Failures::new();
        let (held, old) = self.holdings(owner)?;
        for address in if held.is_empty() { &old } else { &held } {
            failures.note(self.remove(*address));
        }
        failures.note(self.drop_links(owner));
        if held.is_empty() {
            failures.note(self.drop_links(&owner.without_interface()));
        }
        self.sealed_unless(failures)
    }

    /// Frees every address whose owner is not `valid` or whose file is empty. Files that say something else, and those made
    /// read-only, are left alone.
    ///
    /// # Errors
    /// Everything that cannot be read or removed.
    pub fn retain(&mut self, valid: impl Fn(&Owner) -> bool) -> Result<(), cni_plugin::Error> {
        let mut failures = Failures::new();
        for address in self.addresses()? {
            let stale = match failures.note(self.holder(address)) {
                Some(Holder::Owner(owner)) => !valid(&owner),
                Some(Holder::Empty) => true,
                Some(Holder::Free | Holder::Unknown) | None => false,
            };
            if stale {
                failures.note(self.remove_unless_protected(address));
            }
        }
        failures.note(self.link_all());
        self.sealed_unless(failures)
    }

    /// After a failure nothing is sealed, so that the next process reads everything.
    fn sealed_unless(&mut self, failures: Failures) -> Result<(), cni_plugin::Error> {
        failures.into_result()?;
        self.seal();
        Ok(())
    }

    /// Those of the addresses whose file has no word in it.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn empty(&self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Error> {
        let mut empty = Vec::new();
        for address in addresses {
            // Reading them all would take too long.
            let is_short = self.metadata(&self.path(*address))?.is_some_and(|file| file.len() < SHORT);
            if is_short && self.holder(*address)? == Holder::Empty {
                empty.push(*address);
            }
        }
        Ok(empty)
    }

    /// Where the round of a range set stands. A file that says nothing of use only costs the round its place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_reserved(&self, set: usize) -> Result<Option<IpAddr>, Error> {
        let text = self.text(&self.last_reserved_path(set))?;
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Notes where the round of a range set stands.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there then.
    pub fn set_last_reserved(&mut self, set: usize, address: IpAddr) -> Result<(), Error> {
        self.changed = true;
        let path = self.last_reserved_path(set);
        files::replace(&path, &self.new_path(), address.to_string().as_bytes()).map_err(failed("write", &path))
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_string())
    }

    fn last_reserved_path(&self, set: usize) -> PathBuf {
        self.dir.join(format!("last_reserved_ip.{set}"))
    }

    /// A name that stands for no reservation, for what is not whole yet.
    fn new_path(&self) -> PathBuf {
        self.links.join("new")
    }

    /// Writes a file under that name; the caller moves it to where it belongs.
    fn write_new(&self, content: &str) -> Result<PathBuf, Error> {
        let path = self.new_path();
        files::create(&path, content.as_bytes()).map_err(failed("write", &path))?;
        Ok(path)
    }

    /// What a small file says; `None` if there is none, or what is there is none of ours.
    fn text(&self, path: &Path) -> Result<Option<String>, Error> {
        match files::read(path, MAX_CONTENT) {
            Ok(content) => Ok(String::from_utf8(content).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound || is_no_word_of_ours(&error) => Ok(None),
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    fn metadata(&self, path: &Path) -> Result<Option<fs::Metadata>, Error> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found.map(Some).map_err(failed("look at", path)),
        }
    }

    fn remove(&mut self, address: IpAddr) -> Result<(), Error> {
        self.changed = true;
        let path = self.path(address);
        files::remove(&path).map_err(failed("remove", &path))
    }

    fn remove_unless_protected(&mut self, address: IpAddr) -> Result<(), Error> {
        match self.metadata(&self.path(address))? {
            Some(file) if !is_protected(&file) => self.remove(address),
            _ => Ok(()),
        }
    }
}

/// Whether a reservation is read-only, by which an administrator says that it is to stay.
fn is_protected(file: &fs::Metadata) -> bool {
    !file.is_file() || file.permissions().readonly()
}

/// Whether there is something at a path that can be no file of ours, nor of the reference's.
fn is_no_word_of_ours(error: &io::Error) -> bool {
    files::is_not_regular(error) || error.kind() == ErrorKind::FileTooLarge
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
