//! The folder of containers, `/run/ferrocni/containers`: a folder for each, named by its id.
//!
//! - `config.json` is its [`Record`].
//! - `alive` is locked for as long as its supervisor lives, and by nobody else but who clears up after it. It says which process that is.
//! - `lock` is locked by the supervisor and by the plugins that it has started, which may outlive it.
//! - `log` and `log.old` are what the program says in the background.
//!
//! Containers are made and judged dead by one process at a time: it has the folder itself locked.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use files::Folder;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::log::Reading;
use super::record::Record;
use super::remains::{Remains, lock_in_time};
use crate::failure::{Failure, Outcomes, line};
use crate::host::Host;
use crate::output::{Progress, complain};
use crate::parallel::in_parts;

/// The most that a record may have, in bytes: many networks, and every port published.
const LIMIT: usize = 64 << 20;
const ALIVE: &str = "alive";
const CONFIG: &str = "config.json";
const PID: &str = "pid";

/// All containers of this command.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Folder,
}

/// A container's folder, in the hands of its supervisor.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) record: Record,
    folder: PathBuf,
    _alive: File,
    lock: File,
}

/// A container whose supervisor lives.
#[derive(Debug)]
pub(crate) struct Living {
    pub(crate) record: Record,
    /// The first process of the container, once the program has been started.
    pub(crate) pid: Option<i32>,
    folder: PathBuf,
}

/// What goes wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no record of a container", path.display())]
    Broken { path: PathBuf, source: serde_json::Error },
    #[error("{} is no folder of a container: remove it", .0.display())]
    Stray(PathBuf),
    #[error("there is no container {0}: `ferrocni ps` lists them")]
    Unknown(String),
    #[error("{wanted} is the beginning of more than one container's id: {}", names.join(", "))]
    Ambiguous { wanted: String, names: Vec<String> },
}

impl StoreError {
    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }
}

impl Store {
    pub(crate) fn of(host: &Host) -> Self {
        Self { folder: Folder::new(host.state("containers"), LIMIT) }
    }

    /// Makes a container of what `plan` makes of those that live; nobody else can make one meanwhile.
    pub(crate) fn create<T>(
        &self,
        plan: impl FnOnce(&[Living]) -> Result<(Record, T), Failure>,
    ) -> Result<(Container, T), Failure> {
        let _locked = self.folder.lock().map_err(StoreError::io("lock", self.folder.path()))?;
        let (record, more) = plan(&self.look()?.0)?;
        let folder = self.folder.path_of(&record.id);
        DirBuilder::new().mode(0o700).create(&folder).map_err(StoreError::io("create", &folder))?;
        let made = alive(&folder, record.supervisor).and_then(|alive| Ok((alive, locked(&folder, "lock")?)));
        let (alive, lock) = made.map_err(StoreError::io("lock", &folder))?;
        write(&folder, &record)?;
        Ok((Container { record, folder, _alive: alive, lock }, more))
    }

    /// Those whose supervisors live, the latest first.
    pub(crate) fn living(&self) -> Result<Vec<Living>, StoreError> {
        let locked = self.folder.lock_existing().map_err(StoreError::io("lock", self.folder.path()))?;
        if locked.is_none() {
            return Ok(Vec::new());
        }
        let mut living = self.look()?.0;
        living.sort_by_key(|container| std::cmp::Reverse(container.record.created));
        Ok(living)
    }

    /// The one of that name, id or beginning of an id.
    pub(crate) fn find(&self, wanted: &str) -> Result<Living, StoreError> {
        let mut found: Vec<_> =
            self.living()?.into_iter().filter(|container| container.record.is_called(wanted)).collect();
        if let Some(named) = found.iter().position(|container| container.record.name == wanted) {
            return Ok(found.swap_remove(named));
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(StoreError::Unknown(wanted.to_owned())),
            _ => Err(StoreError::Ambiguous {
                wanted: wanted.to_owned(),
                names: found.into_iter().map(|container| container.record.name).collect(),
            }),
        }
    }

    /// Takes away what is left of those whose supervisors were killed.
    pub(crate) fn sweep(&self, host: &Host) -> Result<(), Failure> {
        let locked = self.folder.lock_existing().map_err(StoreError::io("lock", self.folder.path()))?;
        if locked.is_none() {
            return Ok(());
        }
        let dead = self.tell_apart()?.1;
        drop(locked);
        let mut outcomes = Outcomes::default();
        let progress = Progress::new("clearing up after containers that were killed", dead.len());
        for remains in dead {
            progress.step();
            outcomes.note(remains.clear(host));
        }
        Ok(())
    }

    /// The living and the dead, while nobody else looks. The dead are nobody else's from here on.
    fn look(&self) -> Result<(Vec<Living>, Vec<Remains>), StoreError> {
        let (living, dead) = self.tell_apart()?;
        let read = |part: &[PathBuf]| part.iter().filter_map(|folder| Living::at(folder)).collect::<Vec<_>>();
        Ok((in_parts(&living, read).into_iter().flatten().collect(), dead))
    }

    /// The same, but of the living only their folders: what they are is most of the work.
    fn tell_apart(&self) -> Result<(Vec<PathBuf>, Vec<Remains>), StoreError> {
        let (mut living, mut dead) = (Vec::new(), Vec::new());
        let here = pid_namespace().ok();
        for name in self.folder.names().map_err(StoreError::io("read", self.folder.path()))? {
            let folder = self.folder.path().join(name);
            match File::open(folder.join(ALIVE)).map(|alive| (alive.try_lock(), alive)) {
                // A child that it was just starting has its files open until it is another program, or somebody clears up.
                Ok((Err(_), alive)) if supervisor(&alive, here).is_some_and(has_ended) && lock_in_time(&alive) => {
                    dead.push(Remains { folder, alive: Some(alive) });
                }
                Ok((Err(_), _)) => living.push(folder),
                Ok((Ok(()), alive)) => dead.push(Remains { folder, alive: Some(alive) }),
                // Whoever made it has not come far.
                Err(error) if error.kind() == ErrorKind::NotFound => dead.push(Remains { folder, alive: None }),
                Err(error) if error.kind() == ErrorKind::NotADirectory => complain(StoreError::Stray(folder)),
                Err(error) => return Err(StoreError::io("open", &folder)(error)),
            }
        }
        Ok((living, dead))
    }
}

impl Container {
    /// A file of the container.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether programs that are started from now on keep the container from being swept.
    pub(crate) fn is_held_by_children(&self, held: bool) -> Result<(), StoreError> {
        let flags = if held { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
        let set = fcntl(&self.lock, FcntlArg::F_SETFD(flags)).map_err(StoreError::io("pass on", &self.folder));
        set.map(drop)
    }

    /// Writes down which process is the container's first one.
    pub(crate) fn write_pid(&self, pid: u32) -> Result<(), StoreError> {
        let path = self.path(PID);
        files::replace(&path, &self.path(".pid"), pid.to_string().as_bytes()).map_err(StoreError::io("write", &path))
    }
}

impl Living {
    /// `None` for one that is on its way out, or is broken, which is said.
    fn at(folder: &Path) -> Option<Self> {
        let record = read(folder).unwrap_or_else(|error| {
            complain(line(&error));
            None
        })?;
        let pid = files::read(&folder.join(PID), 20).ok().and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        Some(Self { record, pid, folder: folder.to_owned() })
    }

    /// What the program has said, if it is in the background.
    pub(crate) fn log(&self) -> Result<Option<Reading>, StoreError> {
        Reading::start(&self.folder).map_err(StoreError::io("read the log in", &self.folder))
    }

    /// Waits until the supervisor has ended.
    pub(crate) fn wait(&self) -> io::Result<()> {
        match File::open(self.folder.join(ALIVE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            file => file?.lock_shared(),
        }
    }
}

fn alive(folder: &Path, supervisor: i32) -> io::Result<File> {
    let mut file = locked(folder, ALIVE)?;
    write!(file, "{supervisor} {}", pid_namespace()?)?;
    Ok(file)
}

/// The process that a file `alive` names. A number from another namespace of process ids tells nothing here.
fn supervisor(mut alive: &File, here: Option<u64>) -> Option<Pid> {
    let mut text = String::new();
    alive.read_to_string(&mut text).ok()?;
    let (process, namespace) = text.split_once(' ')?;
    let is_of_here = here.is_some() && namespace.parse().ok() == here;
    Pid::from_raw(process.parse().ok()?).filter(|_| is_of_here)
}

/// This process' namespace of process ids, as `lsns` shows it.
fn pid_namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// Whether a process is none any more, or waits for nothing but its parent: then its descriptor has something to tell (`pidfd_open(2)`).
fn has_ended(process: Pid) -> bool {
    match pidfd_open(process, PidfdFlags::empty()) {
        Ok(process) => {
            let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            poll(&mut ended, PollTimeout::ZERO).is_ok_and(|count| count > 0)
        }
        Err(error) => error == Errno::SRCH,
    }
}

fn locked(folder: &Path, name: &str) -> io::Result<File> {
    let file = files::open_lock(&folder.join(name))?;
    file.try_lock()?;
    Ok(file)
}

fn write(folder: &Path, record: &Record) -> Result<(), StoreError> {
    let path = folder.join(CONFIG);
    let written = serde_json::to_vec(record).map_err(io::Error::from);
    let written = written.and_then(|bytes| files::replace(&path, &folder.join(".config"), &bytes));
    written.map_err(StoreError::io("write", &path))
}

/// `None` if there is none: nothing has been done then that would have to be undone.
pub(super) fn read(folder: &Path) -> Result<Option<Record>, StoreError> {
    let path = folder.join(CONFIG);
    let bytes = match files::read(&path, LIMIT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(StoreError::io("read", &path))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| StoreError::Broken { path, source })
}

/// Removes a container's folder, the record first: without it nothing is left to do.
pub(super) fn remove(folder: &Path) -> Result<(), StoreError> {
    files::remove(&folder.join(CONFIG)).map_err(StoreError::io("remove", folder))?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", folder)(error)),
        _ => Ok(()),
    }
}
