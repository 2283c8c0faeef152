//! What the program sees of file systems: the host's or those of another root, with files and pseudo file systems of its own.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::pivot_root;

use super::names::FILES;
use crate::container::Record;

/// The devices that every program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// The links in /dev that programs expect.
const LINKS: [(&str, &str); 5] = [
    ("pts/ptmx", "/dev/ptmx"),
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];
/// Of an instance of its own, as container runtimes mount it; group 5 is `tty` everywhere.
const TERMINALS: &str = "newinstance,ptmxmode=0666,mode=0620,gid=5";
/// As much as Docker gives.
const SHARED_MEMORY: &str = "mode=1777,size=65536k";
const CGROUPS: &str = "/sys/fs/cgroup";

/// Something cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

fn failed<E: Into<io::Error>>(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> MountError {
    let path = path.as_ref().to_owned();
    move |error| MountError::Io { action, path, source: error.into() }
}

/// Makes those in the mount namespace of this process that need nothing of what the container's networks give it.
pub(super) fn make(record: &Record) -> Result<(), MountError> {
    // What the host mounts and unmounts is seen; what is mounted here is not seen there.
    change("/", MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
    if record.program.rootfs.is_some() {
        return Ok(());
    }
    proc()?;
    if record.netns.is_some() {
        sys_with_cgroups()?;
    }
    Ok(())
}

/// Makes the others, now that the container's folder has its files.
pub(super) fn complete(folder: &Path, record: &Record) -> Result<(), MountError> {
    let files = own_files(folder)?;
    match &record.program.rootfs {
        Some(root) => enter_root(root, &files),
        None => files.iter().try_for_each(|file| file.bind(false)),
    }
}

/// A file of the container's own.
struct OwnFile {
    source: File,
    /// Where the program finds it.
    target: PathBuf,
}

impl OwnFile {
    /// Over what is there, where there is something: the host's files are not touched.
    fn bind(&self, create: bool) -> Result<(), MountError> {
        if create && !self.target.exists() {
            File::create(&self.target).map_err(failed("create", &self.target))?;
        }
        if self.target.exists() { bind_open(&self.source, &self.target, MsFlags::MS_BIND) } else { Ok(()) }
    }
}

fn own_files(folder: &Path) -> Result<Vec<OwnFile>, MountError> {
    let mut files = Vec::new();
    for name in FILES {
        let path = folder.join(name);
        match open_path(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            source => {
                let source = source.map_err(failed("open", &path))?;
                files.push(OwnFile { source, target: Path::new("/etc").join(name) });
            }
        }
    }
    Ok(files)
}

/// A handle for mounting, which does not open a device. (The standard library would take the flag away with musl, where it is one of
/// the access mode.)
fn open_path(path: &Path) -> io::Result<File> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?.into())
}

/// Mounts something that was opened before its path could not be reached any more.
fn bind_open(source: &File, target: &Path, flags: MsFlags) -> Result<(), MountError> {
    mount(Some(&crate::proc::opened(source)), target, None::<&str>, flags, None::<&str>)
        .map_err(failed("mount on", target))
}

fn change(path: &str, flags: MsFlags) -> Result<(), MountError> {
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>).map_err(failed("change the mounts below", path))
}

fn mount_new(kind: &str, target: &str, flags: MsFlags, options: Option<&str>) -> Result<(), MountError> {
    mount(Some(kind), target, Some(kind), flags, options).map_err(failed("mount a file system on", target))
}

/// The program's processes only.
fn proc() -> Result<(), MountError> {
    mount_new("proc", "/proc", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, None)
}

/// The links of the program's network namespace.
fn sys() -> Result<(), MountError> {
    mount_new("sysfs", "/sys", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, None)
}

fn sys_with_cgroups() -> Result<(), MountError> {
    let cgroups = open_path(Path::new(CGROUPS)).ok();
    sys()?;
    match cgroups {
        Some(cgroups) if Path::new(CGROUPS).exists() => {
            bind_open(&cgroups, Path::new(CGROUPS), MsFlags::MS_BIND | MsFlags::MS_REC)
        }
        _ => Ok(()),
    }
}

/// Makes a folder the root. Everything is mounted when it is, so that no symbolic link in it leads elsewhere.
fn enter_root(root: &Path, files: &[OwnFile]) -> Result<(), MountError> {
    let mut devices: Vec<_> = DEVICES.iter().filter_map(|name| Some((*name, open_device(name)?))).collect();
    devices.extend(terminal().map(|terminal| ("console", terminal)));
    mount(Some(root), root, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(failed("use as root", root))?;
    std::env::set_current_dir(root).map_err(failed("change to", root))?;
    pivot_root(".", ".").map_err(failed("make a root of", root))?;
    for name in ["/proc", "/sys", "/dev", "/etc"] {
        folder(Path::new(name))?;
    }
    proc()?;
    sys()?;
    dev(devices)?;
    files.iter().try_for_each(|file| file.bind(true))?;
    // The old root is on top of the new one.
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("leave the root before", root))?;
    std::env::set_current_dir("/").map_err(failed("change to", "/"))
}

/// Devices, with terminals and shared memory of the container's own.
fn dev(devices: Vec<(&str, File)>) -> Result<(), MountError> {
    mount_new("tmpfs", "/dev", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("mode=755"))?;
    for (name, device) in devices {
        let target = Path::new("/dev").join(name);
        File::create(&target).map_err(failed("create", &target))?;
        bind_open(&device, &target, MsFlags::MS_BIND)?;
    }
    for name in ["/dev/pts", "/dev/shm"] {
        folder(Path::new(name))?;
    }
    mount_new("devpts", "/dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some(TERMINALS))?;
    mount_new("tmpfs", "/dev/shm", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, Some(SHARED_MEMORY))?;
    for (target, link) in LINKS {
        symlink(target, link).map_err(failed("create", link))?;
    }
    Ok(())
}

/// The one that the program is started on, which is not among the container's own. By its path: what another mount namespace has
/// opened cannot be mounted.
fn terminal() -> Option<File> {
    let path = io::stdin().is_terminal().then(|| fs::read_link("/proc/self/fd/0"))?;
    open_path(&path.ok()?).ok()
}

fn open_device(name: &str) -> Option<File> {
    open_path(&Path::new("/dev").join(name)).ok()
}

fn folder(path: &Path) -> Result<(), MountError> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    DirBuilder::new().mode(0o755).create(path).map_err(failed("create", path))
}
