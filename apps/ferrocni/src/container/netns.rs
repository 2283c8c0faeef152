//! Network namespaces with a name, as `ip netns` has them.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use netlink::Netns;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::proc;

/// Where `ip netns` looks for them.
const FOLDER: &str = "/run/netns";

/// What is mounted, of proc_pid_mountinfo(5).
const MOUNTS: &str = "/proc/thread-self/mountinfo";

/// A namespace that cannot get or lose its name.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct PinError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PinError {
    fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source: source.into() }
    }
}

/// The namespace of the container with that id.
pub(crate) fn path_of(id: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("ferrocni-{}", &id[..12]))
}

/// Gives a namespace that path, which keeps it.
pub(crate) fn pin(netns: &Netns, path: &Path) -> Result<(), PinError> {
    share_folder()?;
    let file = File::options().write(true).create_new(true).open(path);
    drop(file.map_err(PinError::io("create", path))?);
    mount(Some(&proc::opened(&netns.as_fd())), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(PinError::io("mount a namespace on", path))
}

/// Removes it; what is missing of it is removed already.
pub(crate) fn unpin(path: &Path) -> Result<(), PinError> {
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(PinError::io("unmount", path)(errno)),
    }
    files::remove(path).map_err(PinError::io("remove", path))
}

/// A namespace that is removed here has to go from every mount namespace, so the folder shares its mounts, one process at a time as
/// `ip netns` does it. But where namespaces of others are mounted in it already, it does not become a mount: they would be mounted
/// twice then, and whoever unmounts one once could not remove its file.
fn share_folder() -> Result<(), PinError> {
    let folder = Path::new(FOLDER);
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(PinError::io("create", folder))?;
    let lock = File::open(folder).map_err(PinError::io("open", folder))?;
    lock.lock().map_err(PinError::io("lock", folder))?;
    let change = |source, flags| mount(source, folder, None::<&str>, flags, None::<&str>);
    let share = || change(None, MsFlags::MS_SHARED | MsFlags::MS_REC);
    let shared = match share() {
        // It is no mount yet.
        Err(Errno::EINVAL) if is_to_stay(folder, &mounts().map_err(PinError::io("read", Path::new(MOUNTS)))?) => Ok(()),
        Err(Errno::EINVAL) => change(Some(folder), MsFlags::MS_BIND | MsFlags::MS_REC).and_then(|()| share()),
        outcome => outcome,
    };
    shared.map_err(PinError::io("share mounts of", folder))
}

/// A line of [`MOUNTS`].
#[derive(Debug)]
struct Mount {
    point: PathBuf,
    is_shared: bool,
}

fn mounts() -> io::Result<Vec<Mount>> {
    Ok(proc::read(MOUNTS)?.lines().filter_map(Mount::read).collect())
}

impl Mount {
    /// The fifth field is where it is, and the optional ones up to a dash tell with whom it is shared.
    fn read(line: &str) -> Option<Self> {
        let point = line.split(' ').nth(4)?.into();
        let mut optional = line.split(' ').skip(6).take_while(|field| *field != "-");
        Some(Self { point, is_shared: optional.any(|field| field.starts_with("shared:")) })
    }
}

/// Whether what the folder is in shares its mounts as it is, or the folder has some.
fn is_to_stay(folder: &Path, mounts: &[Mount]) -> bool {
    let around = mounts.iter().filter(|mount| folder.starts_with(&mount.point));
    let around = around.max_by_key(|mount| mount.point.components().count());
    around.is_some_and(|mount| mount.is_shared) || mounts.iter().any(|mount| mount.point.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_to_stay_if_its_mounts_are_shared_or_it_has_some() {
        let root = "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw";
        let run = "21 20 0:5 / /run rw,nosuid - tmpfs tmpfs rw";
        let shared_run = "21 20 0:5 / /run rw,nosuid master:2 shared:9 - tmpfs tmpfs rw";
        let pod = "22 21 0:4 net:[4026532261] /run/netns/cni-1 rw - nsfs nsfs rw";
        let is_to_stay = |lines: &[&str]| {
            let mounts: Vec<_> = lines.iter().filter_map(|line| Mount::read(line)).collect();
            is_to_stay(Path::new("/run/netns"), &mounts)
        };
        assert!(is_to_stay(&[root]) && is_to_stay(&[root, shared_run]) && is_to_stay(&[root, run, pod]));
        assert!(!is_to_stay(&[root, run]) && !is_to_stay(&[root, run, run]));
    }
}
