use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sched::CloneFlags;
use nix::sys::statfs;

use crate::error::{Result, if_found};
use crate::netns_error::{NetnsError, REGULAR_FILE};

/// The calling thread's namespace.
fn current_path() -> &'static str {
    // The same for the main thread, and there it has been looked up before.
    if nix::unistd::gettid() == nix::unistd::getpid() { "/proc/self/ns/net" } else { "/proc/thread-self/ns/net" }
}

/// An open network namespace. It lives at least as long as this value, whatever happens to its path.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
    id: NetnsId,
}

/// What makes two namespaces the same one, whatever paths lead there: device and inode on nsfs
/// (`ioctl_ns(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetnsId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`, the number `ip netns identify` and `lsns` show.
    pub inode: u64,
}

impl Netns {
    /// Opens the namespace at `path` and makes sure that it is one.
    ///
    /// # Errors
    /// See [`NetnsError`]: missing, something else than a namespace, another type of namespace.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // O_NONBLOCK: opening a FIFO must not wait for its writer.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NetnsError::Missing { path: path.into() },
                _ => NetnsError::Open { path: path.into(), source },
            }
        })?;
        Self::examine(file, path)
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn current() -> Result<Self> {
        Self::open(current_path())
    }

    /// The namespace of a process, whose ids /proc need not show. `process` is its pidfd (`pidfd_open(2)`, Linux 5.8).
    ///
    /// # Errors
    /// When the process has ended, or its namespace cannot be entered.
    pub fn of_process(process: impl AsFd + Send) -> Result<Self> {
        Home::here()?
            .leave(|| nix::sched::setns(process, CloneFlags::CLONE_NEWNET), Self::current)
            .map_err(NetnsError::OfProcess)?
    }

    fn examine(file: File, path: &Path) -> Result<Self> {
        let failed = |source| NetnsError::Open { path: path.into(), source };
        let filesystem = statfs::fstatfs(&file).map_err(|errno| failed(errno.into()))?;
        let metadata = file.metadata().map_err(failed)?;
        if filesystem.filesystem_type() != statfs::NSFS_MAGIC {
            return Err(NetnsError::NotANamespace { path: path.into(), found: describe(metadata.file_type()) }.into());
        }
        if namespace_type(file.as_fd()).map_err(failed)? != libc::CLONE_NEWNET {
            return Err(NetnsError::NotANetworkNamespace { path: path.into() }.into());
        }
        let id = NetnsId { device: metadata.dev(), inode: metadata.ino() };
        Ok(Netns { file, path: path.into(), id })
    }

    /// Whether there is a namespace at that path now, whichever and of whatever type: it is not opened, which takes longer.
    ///
    /// # Errors
    /// What is there is neither one nor what is left of one, or cannot be examined.
    pub fn is_at(path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        match statfs::statfs(path) {
            Ok(filesystem) if filesystem.filesystem_type() == statfs::NSFS_MAGIC => Ok(true),
            // What is wrong it says itself.
            _ => Ok(if_found(Self::open(path))?.is_some()),
        }
    }

    /// The path it was opened from. It may belong to another namespace by now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its identity: equal for equal namespaces.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// A number that no other namespace gets before the next restart of the host, unlike [`Netns::id`], whose inode
    /// belongs to the next namespace once this one is gone. `None` before Linux 5.14 (`SO_NETNS_COOKIE`).
    ///
    /// # Errors
    /// When the namespace cannot be entered, or there is no descriptor left.
    pub fn cookie(&self) -> Result<Option<u64>> {
        self.run(cookie_here)?.map_err(|source| NetnsError::Cookie { path: self.path.clone(), source }.into())
    }

    /// The same without entering the namespace; `None` before Linux 6.18.
    pub(crate) fn number(&self) -> Option<u64> {
        namespace_number(self.file.as_fd())
    }

    /// Runs `body` inside the namespace: the calling thread enters it, and is back when this returns.
    ///
    /// Nothing can be left in the wrong namespace: the way back is taken by a guard, also when `body` returns early or
    /// panics, and if the kernel should bar it, the process ends there and then.
    ///
    /// # Errors
    /// When the namespace cannot be entered; `body` has not run then.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        self.run_from(&Home::here()?, body)
    }

    /// The same from `home`, for who goes to many namespaces.
    ///
    /// # Errors
    /// As [`Netns::run`].
    pub fn run_from<T: Send>(&self, home: &Home, body: impl FnOnce() -> T + Send) -> Result<T> {
        home.leave(|| enter(&self.file), body)
            .map_err(|source| NetnsError::Enter { path: self.path.clone(), source }.into())
    }

    /// Runs `body` inside a new namespace of its own, which is gone afterwards: to try what the kernel can do.
    ///
    /// # Errors
    /// When the kernel makes no namespace (CAP_SYS_ADMIN); `body` has not run then.
    pub fn run_in_new<T: Send>(body: impl FnOnce() -> T + Send) -> Result<T> {
        Home::here()?
            .leave(|| nix::sched::unshare(CloneFlags::CLONE_NEWNET), body)
            .map_err(|source| NetnsError::Make(source).into())
    }

    /// The descriptor, for a message that moves a link here.
    pub(crate) fn raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

/// The network namespace of the thread that has asked for it, which other namespaces are visited from. Finding it takes longer than going
/// there and back; it stays right as long as nothing else takes the thread elsewhere.
#[derive(Debug)]
pub struct Home {
    file: File,
    can_return: bool,
    /// Of this thread only.
    _thread: PhantomData<*const ()>,
}

impl Home {
    /// That of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn here() -> Result<Self> {
        let path = current_path();
        let file = File::open(path).map_err(|source| NetnsError::Open { path: path.into(), source })?;
        // Who may enter a container's namespace need not be allowed back: the host's belongs to a user namespace above its own.
        let can_return = enter(&file).is_ok();
        Ok(Self { file, can_return, _thread: PhantomData })
    }

    /// Runs `body` where `leave` leads: on this thread if it can come back, else on one that ends there. A thread of its own
    /// costs 150 to 200 µs here, a tenth of a whole ADD.
    fn leave<T: Send>(
        &self,
        leave: impl FnOnce() -> nix::Result<()> + Send,
        body: impl FnOnce() -> T + Send,
    ) -> io::Result<T> {
        if !self.can_return {
            return on_a_thread(|| leave().map(|()| body()).map_err(io::Error::from));
        }
        leave()?;
        let _way_back = WayBack(&self.file);
        Ok(body())
    }
}

fn enter(namespace: &File) -> nix::Result<()> {
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET)
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// How often the way back is tried: what the kernel needs for it, memory, may be short for a moment.
const ATTEMPTS: usize = 10;

/// Takes a thread that has left back to the namespace that it came from.
struct WayBack<'a>(&'a File);

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        if !(0..ATTEMPTS).any(|_| enter(self.0).is_ok()) {
            // Whatever came next would happen to the wrong host.
            std::process::abort();
        }
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Netns {}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// `NS_GET_NSTYPE`: the `CLONE_NEW*` constant of a namespace (`ioctl_ns(2)`).
#[expect(unsafe_code, reason = "nothing safe wraps the ioctls of nsfs")]
fn namespace_type(file: BorrowedFd<'_>) -> io::Result<i32> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the descriptor is open while it is borrowed, and this request takes no argument, so the
    // kernel touches no memory of ours. The caller has seen that the file is on nsfs, where the number has
    // this meaning.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    if kind < 0 { Err(io::Error::last_os_error()) } else { Ok(kind) }
}

/// `NS_GET_ID`: a namespace's number, which is a network namespace's cookie too (`ioctl_nsfs(2)`).
#[expect(unsafe_code, reason = "nothing safe wraps the ioctls of nsfs")]
fn namespace_number(file: BorrowedFd<'_>) -> Option<u64> {
    const NS_GET_ID: libc::Ioctl = libc::_IOR::<u64>(0xb7, 13);
    let mut number = 0_u64;
    // SAFETY: the descriptor is open while it is borrowed and on nsfs, where this request writes the eight bytes of the `u64`, which
    // lives until the call returns; a kernel that does not know it writes nothing.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_ID, &raw mut number) };
    (status == 0).then_some(number)
}

/// That of the calling thread's namespace.
pub(crate) fn cookie_here() -> io::Result<Option<u64>> {
    UnixDatagram::unbound().and_then(|socket| cookie(socket.as_fd()))
}

/// The cookie of the namespace that a socket belongs to; `None` where the kernel knows no such option.
#[expect(unsafe_code, reason = "the option is in no binding")]
fn cookie(socket: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let (mut cookie, mut length): (u64, libc::socklen_t) = (0, 8);
    let (level, option) = (libc::SOL_SOCKET, libc::SO_NETNS_COOKIE);
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the `u64`, and then `length` itself; both
    // live until the call returns.
    let status =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut cookie).cast(), &raw mut length) };
    match Errno::result(status) {
        Ok(_) => Ok(Some(cookie)),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn describe(kind: std::fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_file() => REGULAR_FILE,
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "some other file",
    }
}
