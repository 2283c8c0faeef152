//! The container's network namespace.

use std::path::{Path, PathBuf};

use container_interface::loopback;
use netlink::{LinkChange, Netns, Socket, if_found};

use crate::error::Error;

/// How long a process's number can be in a file, in bytes.
const LONGEST_PID: usize = 16;

/// The label of `lo` where the container's programs go on asking the name servers that they were told of by Podman's own network
/// program: the gateways. It lasts as long as the namespace, and so do they.
const ASKS_GATEWAYS: &str = "ferrocni: asks its gateways for names";

/// The container's namespace, which is not the host's.
pub(crate) fn open(path: &Path) -> Result<Netns, Error> {
    let netns = Netns::open(path)?;
    if netns == Netns::current()? {
        return Err(Error::HostNamespace { path: path.to_owned() });
    }
    Ok(netns)
}

/// Sets the container's `lo` up.
pub(crate) fn set_loopback_up(netns: &Netns) -> Result<(), Error> {
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    Ok(Socket::open_in(netns)?.change_link(loopback::NAME, &up)?)
}

/// Notes that the container asks its gateways for names; not if its namespace is gone.
pub(crate) fn set_asks_gateways(path: &Path) -> Result<(), Error> {
    let Some(netns) = if_found(Netns::open(path))? else { return Ok(()) };
    let label = LinkChange { alias: Some(ASKS_GATEWAYS), ..LinkChange::default() };
    Ok(Socket::open_in(&netns)?.change_link(loopback::NAME, &label)?)
}

/// Whether that was noted.
pub(crate) fn asks_gateways(netns: &Netns) -> Result<bool, Error> {
    Ok(Socket::open_in(netns)?.link(loopback::NAME)?.alias.as_deref() == Some(ASKS_GATEWAYS))
}

/// A path by which other processes find the namespace too. Without root's privileges each call of Podman has a view of the file system
/// of its own, in which only those namespaces are that were there before; the user's first process sees all of them.
pub(crate) fn path_for_all(netns: &Netns) -> PathBuf {
    let seen =
        first_process().map(|first| first.join("root").join(netns.path().strip_prefix("/").unwrap_or(netns.path())));
    let is_it = |path: &PathBuf| Netns::open(path).is_ok_and(|found| found == *netns);
    seen.filter(is_it).unwrap_or_else(|| netns.path().to_owned())
}

/// The one that Podman keeps for the user, in /proc.
fn first_process() -> Option<PathBuf> {
    let runtime = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    let pid = files::read(&runtime.join("libpod/tmp/pause.pid"), LONGEST_PID).ok()?;
    let pid: u32 = std::str::from_utf8(&pid).ok()?.trim().parse().ok()?;
    Some(PathBuf::from(format!("/proc/{pid}")))
}
