//! What finds reservations without reading them all, and what happens when it cannot be relied on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Store, failed, is_protected};
use crate::Error;
use crate::boot;
use crate::owner::{Holder, Owner};

pub(super) const SEAL: &str = "seal";

/// The links that there are, by the beginning of their names and their numbers.
type Links = HashMap<String, BTreeMap<usize, IpAddr>>;

/// What the seal says of the folder.
struct Seal {
    /// It was set in another boot; `false` if either boot is unknown.
    of_another_boot: bool,
    /// The folder has not been touched since.
    unbroken: bool,
}

impl Store {
    /// Brings the links up to date if another program changed the folder, and frees what is from before this boot.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        let seal = self.read_seal()?;
        if seal.unbroken && !seal.of_another_boot {
            return Ok(());
        }
        match self.make_links_folder() {
            // On a full disk, perhaps, where a DEL is most welcome, and finds everything; an ADD will fail and say why.
            Err(Error::Io { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        self.take_back(&seal)?;
        self.link_all()?;
        self.changed = true;
        self.seal();
        Ok(())
    }

    /// For those who may not change anything: what the links do not show.
    pub(super) fn find_unlinked(&mut self) -> Result<(), Error> {
        if !self.read_seal()?.unbroken {
            self.unlinked = self.reservations()?;
        }
        Ok(())
    }

    fn read_seal(&self) -> Result<Seal, Error> {
        self.links_folder_is_there()?;
        let text = self.text(&self.links.join(SEAL))?.unwrap_or_default();
        let (boot, time) = text.split_once(' ').unwrap_or_default();
        let modified = fs::metadata(&self.dir).and_then(|dir| dir.modified()).map_err(failed("look at", &self.dir))?;
        let of_another_boot = !boot.is_empty() && self.boot.as_ref().is_some_and(|id| id != boot);
        Ok(Seal { of_another_boot, unbroken: time == time_text(modified) })
    }

    /// Says that every reservation has its link now, if something was changed and that is so. Without a seal, the next process
    /// has to look again: slower, but no reason to fail.
    pub fn seal(&mut self) {
        let complete = !self.incomplete && self.unlinked.is_empty();
        if let Some(boot) = self.boot.as_ref().filter(|_| self.changed && complete) {
            let _ = self.write_seal(boot);
        }
        self.changed = false;
    }

    fn write_seal(&self, boot: &str) -> io::Result<()> {
        let now = SystemTime::now();
        let folder = File::open(&self.dir)?;
        folder.set_modified(now)?;
        // A file system that keeps whole seconds only cannot tell who changed the folder; without a seal, we always look.
        if folder.metadata()?.modified()? != now {
            return Ok(());
        }
        let text = format!("{boot} {}", time_text(now));
        files::replace(&self.links.join(SEAL), &self.new_path(), text.as_bytes())
    }

    pub(super) fn make_links_folder(&self) -> Result<(), Error> {
        if self.links_folder_is_there()? {
            return Ok(());
        }
        DirBuilder::new().mode(0o700).create(&self.links).map_err(failed("create folder", &self.links))
    }

    fn links_folder_is_there(&self) -> Result<bool, Error> {
        match self.metadata(&self.links)? {
            Some(found) if !found.is_dir() => Err(Error::NotAFolder(self.links.clone())),
            found => Ok(found.is_some()),
        }
    }

    /// Frees what no container of this boot can hold. If the folder was not touched since we sealed it in an earlier boot,
    /// that is everything, whatever the clock says. Otherwise the reference may have made reservations in this boot, and only
    /// what is provably older goes; which is nothing as long as this boot is not known.
    fn take_back(&mut self, seal: &Seal) -> Result<(), Error> {
        let everything = seal.of_another_boot && seal.unbroken;
        let before = self.boot.as_ref().and_then(|_| boot::earliest());
        if !everything && before.is_none() {
            return Ok(());
        }
        for address in self.addresses()? {
            let path = self.path(address);
            let Some(file) = self.metadata(&path)? else { continue };
            let modified = file.modified().map_err(failed("look at", &path))?;
            if (everything || before.is_some_and(|before| modified < before)) && !is_protected(&file) {
                // What cannot be removed stays reserved, and is tried again by the next process, for want of a seal; it is no
                // reason to give no address at all.
                self.incomplete |= self.remove(address).is_err();
            }
        }
        Ok(())
    }

    fn reservations(&self) -> Result<Vec<(IpAddr, Owner)>, Error> {
        let mut reservations = Vec::new();
        for address in self.addresses()? {
            if let Holder::Owner(owner) = self.holder(address)? {
                reservations.push((address, owner));
            }
        }
        Ok(reservations)
    }

    /// Gives every reservation its link, and removes all others; remembers those that cannot have one.
    pub(super) fn link_all(&mut self) -> Result<(), Error> {
        self.unlinked.clear();
        self.numbered.clear();
        let mut links = self.all_links()?;
        let mut holders: HashMap<String, Vec<(IpAddr, Owner)>> = HashMap::new();
        for (address, owner) in self.reservations()? {
            holders.entry(owner.link_prefix()).or_default().push((address, owner));
        }
        for (prefix, held) in holders {
            let before = links.remove(&prefix).unwrap_or_default();
            self.number(&prefix, held, before)?;
        }
        for (prefix, stale) in links {
            for n in stale.into_keys() {
                self.unlink(&self.link_path(&prefix, n))?;
            }
        }
        Ok(())
    }

    /// Numbers the links of one name from 0, in the order they had `before`.
    fn number(
        &mut self,
        prefix: &str,
        mut held: Vec<(IpAddr, Owner)>,
        before: BTreeMap<usize, IpAddr>,
    ) -> Result<(), Error> {
        let places: HashMap<IpAddr, usize> = before.iter().map(|(n, address)| (*address, *n)).collect();
        held.sort_by_key(|(address, _)| places.get(address).copied().unwrap_or(usize::MAX));
        let count = held.len();
        for (n, (address, owner)) in held.into_iter().enumerate() {
            let is_there = before.get(&n) == Some(&address);
            if !is_there && place_link(&self.link_path(prefix, n), address).is_err() {
                self.unlinked.push((address, owner));
            }
        }
        before.into_keys().filter(|n| *n >= count).try_for_each(|n| self.unlink(&self.link_path(prefix, n)))
    }

    fn all_links(&self) -> Result<Links, Error> {
        let mut links = Links::new();
        for path in self.link_paths()? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((prefix, n)) = name.rsplit_once(':') else { continue };
            if let (Ok(n), Some(address)) = (n.parse(), self.target(&path)?) {
                links.entry(prefix.to_owned()).or_default().insert(n, address);
            }
        }
        Ok(links)
    }

    fn link_paths(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(&self.links) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("list", &self.links))?,
        };
        entries.map(|entry| Ok(entry.map_err(failed("list", &self.links))?.path())).collect()
    }

    fn link_path(&self, prefix: &str, n: usize) -> PathBuf {
        self.links.join(format!("{prefix}:{n}"))
    }

    /// Makes the link that leads from an owner to an address, if it is not there yet.
    pub(super) fn link(&mut self, owner: &Owner, address: IpAddr) -> Result<PathBuf, Error> {
        let prefix = owner.link_prefix();
        let mut n = self.numbered.get(&prefix).copied().unwrap_or(0);
        loop {
            let link = self.link_path(&prefix, n);
            match symlink(format!("../{address}"), &link) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.why_unlinked(error)),
                Ok(()) => {
                    self.numbered.insert(prefix, n + 1);
                    return Ok(link);
                }
            }
            match self.target(&link)? {
                Some(target) if target != address && owner.shares_links_with(&self.holder(target)?) => n += 1,
                // It leads to what the owner does not hold, or will hold only now.
                _ => self.unlink(&link)?,
            }
        }
    }

    /// A link cannot be made. If that is for want of its folder, what kept that from being made is the better answer.
    fn why_unlinked(&self, error: io::Error) -> Error {
        let folder = if error.kind() == ErrorKind::NotFound { self.make_links_folder() } else { Ok(()) };
        folder.err().unwrap_or_else(|| failed("make a link in", &self.links)(error))
    }

    /// Removes the link that was made last.
    pub(super) fn take_link_back(&mut self, owner: &Owner, link: &Path) -> Result<(), Error> {
        self.numbered.remove(&owner.link_prefix());
        self.unlink(link)
    }

    /// Where the owner's links lead, by their numbers. Each may be another owner's address by now. There is never a gap in
    /// the numbers: we leave none, and if another program removed one, the seal was broken and all were numbered again.
    fn targets_of(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let prefix = owner.link_prefix();
        (0..).map_while(|n| self.target(&self.link_path(&prefix, n)).transpose()).collect()
    }

    /// The address that a link of ours leads to; `None` if there is no such link.
    fn target(&self, link: &Path) -> Result<Option<IpAddr>, Error> {
        match fs::read_link(link) {
            Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()?.parse().ok())),
            // Missing, or no link.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => Ok(None),
            Err(error) => Err(failed("read", link)(error)),
        }
    }

    /// Removes those of the owner's links that lead to what neither it nor one of the same name holds any more; the last one
    /// takes the number of one that goes. What could not be freed keeps its link, so that it is found again.
    pub(super) fn drop_links(&mut self, owner: &Owner) -> Result<(), Error> {
        self.numbered.remove(&owner.link_prefix());
        let mut targets = self.targets_of(owner)?;
        for n in (0..targets.len()).rev() {
            if !owner.shares_links_with(&self.holder(targets[n])?) {
                self.drop_link(owner, n, targets.len() - 1)?;
                targets.swap_remove(n);
            }
        }
        Ok(())
    }

    fn drop_link(&self, owner: &Owner, n: usize, last: usize) -> Result<(), Error> {
        let prefix = owner.link_prefix();
        let [link, last] = [n, last].map(|n| self.link_path(&prefix, n));
        if link == last { self.unlink(&link) } else { fs::rename(&last, &link).map_err(failed("rename", &last)) }
    }

    /// What an owner holds, and what its container holds in the old form. The file that a link of the owner leads to may have
    /// been written anew in that form.
    pub(super) fn holdings(&self, owner: &Owner) -> Result<(Vec<IpAddr>, Vec<IpAddr>), Error> {
        let old = owner.without_interface();
        let mut reservations = Vec::new();
        for address in self.targets_of(owner)?.into_iter().chain(self.targets_of(&old)?) {
            if let Holder::Owner(holder) = self.holder(address)? {
                reservations.push((address, holder));
            }
        }
        let ours = |holder: &Owner| *holder == *owner || *holder == old;
        reservations.extend(self.unlinked.iter().filter(|(_, holder)| ours(holder)).cloned());
        let of =
            |wanted: &Owner| each_once(reservations.iter().filter(|(_, holder)| holder == wanted).map(|(ip, _)| *ip));
        Ok((of(owner), of(&old)))
    }

    fn unlink(&self, link: &Path) -> Result<(), Error> {
        files::remove(link).map_err(failed("remove", link))
    }
}

/// In the order in which they come first.
fn each_once(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    addresses.filter(|address| seen.insert(*address)).collect()
}

/// Makes a link, in place of whatever has its name.
fn place_link(link: &Path, address: IpAddr) -> io::Result<()> {
    let make = || symlink(format!("../{address}"), link);
    match make() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => files::remove(link).and_then(|()| make()),
        outcome => outcome,
    }
}

/// A time as it stands in the seal.
pub(super) fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}
