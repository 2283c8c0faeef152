//! Network sysctls of the calling thread's namespace.
//!
//! A key is a list of path segments, `["ipv4", "conf", "eth0.100", "arp_notify"]`, because a link's name may
//! hold the dots that `sysctl(8)` separates with, and because a segment that came from outside must not lead
//! out of /proc/sys/net.
//!
//! ```no_run
//! # fn main() -> Result<(), sysctl::Error> {
//! sysctl::set_if_different(&["ipv4", "ip_forward"], "1")?;
//! let policy = sysctl::read(&["ipv6", "conf", "eth0.100", "accept_ra"])?;
//! # Ok(())
//! # }
//! ```
//!
//! /proc/sys/net shows each *thread* the values of its own network namespace (`net_ctl_permissions` and
//! `is_seen`, net/sysctl_net.c), so a value inside a container is reached from a thread that has entered it.

mod precaution;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub use precaution::{refuse_router_advertisements, skip_duplicate_address_detection, take_precaution};

const ROOT: &str = "/proc/sys/net";

/// Why a sysctl could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no such sysctl: the link is gone, or a feature is off (IPv6 with `ipv6.disable=1`).
    #[error("sysctl {} does not exist", path.display())]
    NotFound {
        /// The full path.
        path: PathBuf,
    },
    /// The segment is no name.
    #[error("{segment:?} cannot be part of a sysctl's path")]
    InvalidSegment {
        /// The segment.
        segment: String,
    },
    /// It can only be written: `net.ipv4.route.flush`, for one.
    #[error("sysctl {} cannot be read", path.display())]
    WriteOnly {
        /// The full path.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read sysctl {}", path.display())]
    Read {
        /// The full path.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// It cannot be set.
    #[error("cannot set sysctl {} to {value:?}", path.display())]
    Write {
        /// The full path.
        path: PathBuf,
        /// The value.
        value: String,
        /// The errno: `EINVAL` for a value the kernel does not take.
        #[source]
        source: io::Error,
    },
    /// It cannot be set from here, as in a container or a service that sees /proc/sys read-only.
    #[error(
        "cannot set sysctl {} to {value:?}, which is read-only here: if all of /proc/sys is, as in a container or a service \
         with ProtectKernelTunables, set it beforehand outside, or make /proc/sys writable inside",
        path.display()
    )]
    Forbidden {
        /// The full path.
        path: PathBuf,
        /// The value.
        value: String,
        /// The errno: `EROFS`, `EACCES` or `EPERM`.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The kernel has no such sysctl.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// It can only be written, even by root.
    #[must_use]
    pub fn is_write_only(&self) -> bool {
        matches!(self, Error::WriteOnly { .. })
    }

    /// The kernel was asked to set it and has refused, as it would the next time.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, ResourceBusy, Unsupported};
        let Error::Write { source, .. } = self else { return false };
        matches!(source.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | ResourceBusy | Unsupported)
    }
}

/// Makes sure that a key that came from outside can name a sysctl of this tree, and nothing else.
///
/// # Errors
/// [`Error::InvalidSegment`].
pub fn validate(key: &[&str]) -> Result<(), Error> {
    path_of(key).map(drop)
}

/// Reads a sysctl, without the line feed at its end.
///
/// # Errors
/// [`Error::NotFound`], [`Error::InvalidSegment`], [`Error::WriteOnly`], [`Error::Read`].
pub fn read(key: &[&str]) -> Result<String, Error> {
    let path = path_of(key)?;
    match read_file(&path) {
        Ok(value) => Ok(value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound { path }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_write_only(&path) => {
            Err(Error::WriteOnly { path })
        }
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// A sysctl's permissions hold for root as well (`test_perm`, fs/proc/proc_sysctl.c).
fn is_write_only(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o444 == 0)
}

/// One read gives all: a sysctl of this tree is shorter than a page, and procfs answers at once.
fn read_file(path: &Path) -> io::Result<String> {
    let mut value = [0; 4096];
    let length = File::open(path)?.read(&mut value)?;
    Ok(String::from_utf8_lossy(&value[..length]).trim_end().to_owned())
}

/// Writes a sysctl.
///
/// # Errors
/// [`Error::NotFound`], [`Error::InvalidSegment`], [`Error::Write`], [`Error::Forbidden`].
pub fn write(key: &[&str], value: &str) -> Result<(), Error> {
    let path = path_of(key)?;
    // The kernel takes a value in one write; a second one would be a second value.
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound { path }),
        Err(source) if matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            Err(Error::Forbidden { path, value: value.to_owned(), source })
        }
        Err(source) => Err(Error::Write { path, value: value.to_owned(), source }),
    }
}

/// Writes a sysctl unless it has the value already, and returns the old value if it had to.
///
/// Reading is cheaper than writing: some writes take a lock shared by the whole host (`ip_forward`,
/// `disable_ipv6`), and where /proc/sys is mounted read-only a right value is no reason to fail.
///
/// # Errors
/// As for [`read`] and [`write()`].
pub fn set_if_different(key: &[&str], value: &str) -> Result<Option<String>, Error> {
    let old = read(key)?;
    if is_same(&old, value) {
        return Ok(None);
    }
    write(key, value)?;
    Ok(Some(old))
}

/// The kernel separates the numbers of a list by tabs, people by spaces.
fn is_same(value: &str, other: &str) -> bool {
    value.split_whitespace().eq(other.split_whitespace())
}

fn path_of(key: &[&str]) -> Result<PathBuf, Error> {
    let mut path = PathBuf::from(ROOT);
    for &segment in key {
        if matches!(segment, "" | "." | "..") || segment.contains(['/', '\0']) {
            return Err(Error::InvalidSegment { segment: segment.to_owned() });
        }
        path.push(segment);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_segment_leads_out_of_proc_sys_net() {
        for segment in ["", ".", "..", "a/b", "../core", "/etc/passwd", "a\0b"] {
            let error = path_of(&["ipv4", "conf", segment, "forwarding"]).expect_err(segment);
            assert!(matches!(error, Error::InvalidSegment { .. }));
        }
    }

    #[test]
    fn a_link_name_may_have_dots() {
        let path = path_of(&["ipv4", "conf", "eth0.100", "arp_notify"]).expect("valid");
        assert_eq!(path, PathBuf::from("/proc/sys/net/ipv4/conf/eth0.100/arp_notify"));
    }
}
