//! Folders are watched (inotify), also those that are not there yet.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// The same for all: where two folders are watched through one that is above both, the kernel keeps the last mask.
const MASK: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The folder is no longer where it was.
const GONE: AddWatchFlags =
    AddWatchFlags::IN_IGNORED.union(AddWatchFlags::IN_DELETE_SELF).union(AddWatchFlags::IN_MOVE_SELF);

/// Watches some folders.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: Inotify,
    folders: Vec<PathBuf>,
    watches: Vec<Watch>,
}

/// What the kernel watches for one of the folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watch {
    descriptor: WatchDescriptor,
    folder: usize,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Itself,
    /// A folder in it.
    Inside,
    /// The nearest folder above it that there is.
    Above,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// More than the kernel could note: anything may have happened.
    Overflow,
    /// Anything may have happened in the folder of this number.
    Folder(usize),
    /// A file of this name in the folder of that number was written, or is gone.
    File(usize, OsString),
}

/// A folder that cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {}", path.display())]
pub(super) struct WatchError {
    path: PathBuf,
    source: Errno,
}

impl Watcher {
    /// Watches these, and what is called as their numbers in changes.
    pub(super) fn new(folders: Vec<PathBuf>) -> Result<Self, WatchError> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC);
        let inotify = inotify.map_err(|source| WatchError { path: PathBuf::from("/"), source })?;
        let mut watcher = Self { inotify, folders, watches: Vec::new() };
        for folder in 0..watcher.folders.len() {
            watcher.establish(folder)?;
        }
        Ok(watcher)
    }

    /// Waits until something happens.
    pub(super) fn next(&mut self) -> Result<Vec<Change>, WatchError> {
        let events = loop {
            match self.inotify.read_events() {
                Err(Errno::EINTR) => {}
                events => break events.map_err(|source| WatchError { path: PathBuf::from("/"), source })?,
            }
        };
        let mut changes = Vec::new();
        for event in events {
            changes.extend(self.read(&event)?);
        }
        Ok(changes)
    }

    /// Watches the folders inside one of the folders as well.
    pub(super) fn watch_inside(&mut self, folder: usize) -> Result<(), WatchError> {
        let entries = std::fs::read_dir(&self.folders[folder]).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            self.add(folder, Role::Inside, &entry.path())?;
        }
        Ok(())
    }

    fn read(&mut self, event: &InotifyEvent) -> Result<Vec<Change>, WatchError> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            for folder in 0..self.folders.len() {
                self.establish(folder)?;
            }
            return Ok(vec![Change::Overflow]);
        }
        let mut changes = Vec::new();
        let watches: Vec<_> = self.watches.iter().filter(|watch| watch.descriptor == event.wd).copied().collect();
        for Watch { folder, role, .. } in watches {
            let is_gone = event.mask.intersects(GONE);
            if is_gone {
                self.forget(event.wd);
            }
            match role {
                Role::Above => changes.extend(self.establish(folder)?.then_some(Change::Folder(folder))),
                Role::Itself if is_gone => {
                    self.establish(folder)?;
                    changes.push(Change::Folder(folder));
                }
                Role::Inside => changes.push(Change::Folder(folder)),
                Role::Itself => changes.extend(event.name.clone().map(|name| Change::File(folder, name))),
            }
        }
        Ok(changes)
    }

    /// Watches a folder, or else the nearest one above it; whether it is there.
    fn establish(&mut self, folder: usize) -> Result<bool, WatchError> {
        let path = self.folders[folder].clone();
        loop {
            let mut missing = None;
            for place in path.ancestors() {
                let role = if place == path { Role::Itself } else { Role::Above };
                if self.add(folder, role, place)? {
                    match missing {
                        None => return Ok(true),
                        // It may have come before the one above was watched.
                        Some(below) if Path::is_dir(below) => break,
                        Some(_) => return Ok(false),
                    }
                }
                missing = Some(place);
            }
            // A relative path has no root among its ancestors.
            if missing.is_some_and(|place| place.as_os_str().is_empty()) {
                return Err(WatchError { path, source: Errno::ENOENT });
            }
        }
    }

    /// Whether the folder is there, and watched.
    fn add(&mut self, folder: usize, role: Role, path: &Path) -> Result<bool, WatchError> {
        match self.inotify.add_watch(path, MASK) {
            Ok(descriptor) => {
                let watch = Watch { descriptor, folder, role };
                if !self.watches.contains(&watch) {
                    self.watches.push(watch);
                }
                Ok(true)
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(source) => Err(WatchError { path: path.to_owned(), source }),
        }
    }

    fn forget(&mut self, descriptor: WatchDescriptor) {
        // The kernel has forgotten one that is removed, and has not one that was moved away.
        let _ = self.inotify.rm_watch(descriptor);
        self.watches.retain(|watch| watch.descriptor != descriptor);
    }
}

/// The names in a folder; none if it is not there.
pub(super) fn names_in(folder: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_watched_from_its_making_on_and_after_it_was_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let mut watcher = Watcher::new(vec![path.clone()]).unwrap();
        for round in 0..2 {
            fs::create_dir_all(&path).unwrap();
            while !watcher.next().unwrap().contains(&Change::Folder(0)) {}
            fs::write(path.join("x"), "").unwrap();
            while !watcher.next().unwrap().contains(&Change::File(0, "x".into())) {}
            let gone = if round == 0 { fs::remove_dir_all(&path) } else { fs::rename(&path, dir.path().join("c")) };
            gone.unwrap();
            while !watcher.next().unwrap().contains(&Change::Folder(0)) {}
        }
    }

    #[test]
    fn two_folders_may_be_watched_through_the_same_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| dir.path().join(name));
        let mut watcher = Watcher::new(paths.to_vec()).unwrap();
        for (number, path) in paths.iter().enumerate().rev() {
            fs::create_dir(path).unwrap();
            while !watcher.next().unwrap().contains(&Change::Folder(number)) {}
        }
    }
}
