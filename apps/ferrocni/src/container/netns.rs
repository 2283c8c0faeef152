//! Network namespaces with a name, as `ip netns` has them.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use netlink::{Netns, Socket};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Where `ip netns` looks for them.
const FOLDER: &str = "/run/netns";

/// A namespace that cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot set up the new network namespace {}", path.display())]
    Namespace { path: PathBuf, source: netlink::Error },
}

impl PinError {
    fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }
}

/// The namespace of the container with that id.
pub(crate) fn path_of(id: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("ferrocni-{}", &id[..12]))
}

/// Makes a namespace with that path, in which `lo` is up.
pub(crate) fn pin(path: &Path) -> Result<Netns, PinError> {
    share_folder()?;
    let file = File::options().write(true).create_new(true).open(path);
    drop(file.map_err(PinError::io("create", path))?);
    let failed = |source| PinError::Namespace { path: path.to_owned(), source };
    let bind = || mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    Netns::run_in_new(bind).map_err(failed)?.map_err(PinError::io("mount a namespace on", path))?;
    let netns = Netns::open(path).map_err(failed)?;
    Socket::open_in(&netns).and_then(|mut inside| inside.batch().set_up("lo").send()).map_err(failed)?;
    Ok(netns)
}

/// Removes it; what is missing of it is removed already.
pub(crate) fn unpin(path: &Path) -> Result<(), PinError> {
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(PinError::io("unmount", path)(errno)),
    }
    files::remove(path).map_err(PinError::io("remove", path))
}

/// A namespace that is removed here has to go from every mount namespace, so the folder shares its mounts. `ip netns` does the
/// same, one at a time.
fn share_folder() -> Result<(), PinError> {
    let folder = Path::new(FOLDER);
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(PinError::io("create", folder))?;
    let lock = File::open(folder).map_err(PinError::io("open", folder))?;
    lock.lock().map_err(PinError::io("lock", folder))?;
    let change = |source, flags| mount(source, folder, None::<&str>, flags, None::<&str>);
    let share = || change(None, MsFlags::MS_SHARED | MsFlags::MS_REC);
    let shared = match share() {
        // It is no mount yet.
        Err(Errno::EINVAL) => change(Some(folder), MsFlags::MS_BIND | MsFlags::MS_REC).and_then(|()| share()),
        outcome => outcome,
    };
    shared.map_err(PinError::io("share mounts of", folder))
}
