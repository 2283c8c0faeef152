//! Noticing what happens to files and processes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

/// Folders whose files are watched.
#[derive(Debug)]
pub(crate) struct Folders {
    inotify: Inotify,
    /// A folder may have several paths, by symbolic links.
    paths: RefCell<HashMap<WatchDescriptor, Vec<PathBuf>>>,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A file is not there any more.
    Gone(PathBuf),
    /// A file is there, with another content.
    Changed(PathBuf),
    /// More than was kept, or a folder itself is gone.
    Lost,
}

impl Folders {
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify, paths: RefCell::default() })
    }

    /// Watches a folder's files; it may be watched already.
    pub(crate) fn add(&self, folder: &Path) -> io::Result<()> {
        if self.paths.borrow().values().flatten().any(|known| known == folder) {
            return Ok(());
        }
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let watch = self.inotify.add_watch(folder, what)?;
        self.paths.borrow_mut().entry(watch).or_default().push(folder.to_owned());
        Ok(())
    }

    /// Waits for the next events.
    pub(crate) async fn next(&self, watched: &AsyncFd<OwnedFd>) -> io::Result<Vec<Event>> {
        loop {
            let mut ready = watched.readable().await?;
            if let Ok(events) = ready.try_io(|_| self.inotify.read_events().map_err(io::Error::from)) {
                return Ok(events?.into_iter().flat_map(|event| self.read(event.wd, event.mask, event.name)).collect());
            }
        }
    }

    /// Has the runtime tell of events.
    pub(crate) fn watched(&self) -> io::Result<AsyncFd<OwnedFd>> {
        sockets::watch(&self.inotify)
    }

    fn read(&self, watch: WatchDescriptor, mask: AddWatchFlags, name: Option<OsString>) -> Vec<Event> {
        let is = |flags| mask.intersects(flags);
        if is(AddWatchFlags::IN_Q_OVERFLOW) {
            return vec![Event::Lost];
        }
        if is(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED) {
            let was_known = self.paths.borrow_mut().remove(&watch).is_some();
            if is(AddWatchFlags::IN_MOVE_SELF) {
                let _ = self.inotify.rm_watch(watch);
            }
            return if was_known { vec![Event::Lost] } else { Vec::new() };
        }
        let (Some(name), paths) = (name, self.paths.borrow()) else { return Vec::new() };
        let is_gone = is(AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM);
        let event = if is_gone { Event::Gone } else { Event::Changed };
        paths.get(&watch).into_iter().flatten().map(|folder| event(folder.join(&name))).collect()
    }
}

/// The process whose namespace the path `/proc/<pid>/…` is.
pub(crate) fn process_of(path: &Path) -> Option<Pid> {
    let number = path.strip_prefix("/proc").ok()?.components().next()?.as_os_str().to_str()?;
    Pid::from_raw(number.parse().ok().filter(|&number: &i32| number > 0)?)
}

/// Waits until a process has ended.
pub(crate) async fn wait_for_end_of(process: OwnedFd) -> io::Result<()> {
    let watched = sockets::watch(&process)?;
    watched.readable().await?.retain_ready();
    Ok(())
}

/// A process, to wait for.
pub(crate) fn open_process(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn what_happens_to_files_is_told_by_each_of_their_paths() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("folder"), dir.path().join("link"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let folders = Folders::new().unwrap();
        for path in [&folder, &link, &folder] {
            folders.add(path).unwrap();
        }
        fs::write(folder.join("a"), "x").unwrap();
        fs::rename(folder.join("a"), folder.join("b")).unwrap();
        fs::remove_file(folder.join("b")).unwrap();
        fs::remove_dir(&folder).unwrap();
        let events = runtime().block_on(async { folders.next(&folders.watched().unwrap()).await.unwrap() });
        for path in [&folder, &link] {
            for expected in [
                Event::Changed(path.join("a")),
                Event::Gone(path.join("a")),
                Event::Changed(path.join("b")),
                Event::Gone(path.join("b")),
            ] {
                assert!(events.contains(&expected), "{expected:?} in {events:?}");
            }
        }
        assert_eq!(events.iter().filter(|event| **event == Event::Lost).count(), 1);
        assert!(folders.add(&folder).is_err(), "it is gone");
    }

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let path = PathBuf::from(format!("/proc/{}/ns/net", child.id()));
        let process = open_process(process_of(&path).unwrap()).unwrap();
        child.kill().unwrap();
        runtime().block_on(wait_for_end_of(process)).unwrap();
        child.wait().unwrap();
        assert!(open_process(process_of(&path).unwrap()).is_err());
        for path in ["/run/netns/x", "/proc/self/ns/net", "/proc", "/proc/0/ns/net", "/proc/-1/ns/net", "proc/1/ns/net"]
        {
            assert_eq!(process_of(Path::new(path)), None, "{path}");
        }
    }
}
