//! Tap links: Ethernet interfaces whose other end is a program, such as a virtual machine's monitor.
//!
//! netlink can change and delete them, but only the ioctls of /dev/net/tun make them (drivers/net/tun.c,
//! Documentation/networking/tuntap.rst).
//!
//! ```no_run
//! # fn main() -> Result<(), tuntap::Error> {
//! let tap = tuntap::Options { multi_queue: true, owner: Some(107), ..tuntap::Options::new("tap0") }.create()?;
//! // ... set it up by netlink; until it is kept, it goes with this value, or with the process ...
//! tap.keep()?;
//! # Ok(())
//! # }
//! ```

mod error;
mod ioctl;
mod label;

use std::fs::File;
use std::io;

use nix::errno::Errno;

pub use error::Error;
use label::Failure;

/// Where taps come from.
const DEVICE: &str = "/dev/net/tun";

/// A tap to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a> {
    /// Its interface name, at most 15 bytes.
    pub name: &'a str,
    /// Let several threads of the program send and receive, each through a queue of its own. Who attaches to the tap has to
    /// ask for the same.
    pub multi_queue: bool,
    /// The user who may attach to it without privileges; without one, all users of the group, or only the privileged.
    pub owner: Option<u32>,
    /// The group whose members may attach without privileges; see `owner`.
    pub group: Option<u32>,
    /// The SELinux context that it is made in: programs that are confined to it may attach.
    pub selinux_context: Option<&'a str>,
}

impl<'a> Options<'a> {
    /// A tap with one queue, for the privileged.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Options { name, multi_queue: false, owner: None, group: None, selinux_context: None }
    }

    /// Makes the tap in the calling thread's network namespace, down.
    ///
    /// # Errors
    /// [`Error::Taken`] if the namespace has a link of that name; the step that failed.
    pub fn create(&self) -> Result<Tap, Error> {
        let tap = Tap { file: open()?, name: self.name.to_owned() };
        let mut request = ioctl::Request::new(self.name, self.multi_queue)
            .ok_or_else(|| Error::InvalidName { name: self.name.to_owned() })?;
        if let Some(context) = self.selinux_context {
            label::require_selinux()?;
            label::create_in_context(&tap.file, &mut request, context)
                .map_err(|failure| self.refused_in_context(failure, context))?;
        } else {
            ioctl::set_interface(&tap.file, &mut request).map_err(|errno| self.refused(errno))?;
        }
        if let Some(owner) = self.owner {
            ioctl::set_owner(&tap.file, owner).map_err(|source| tap.failed("give a user", source))?;
        }
        if let Some(group) = self.group {
            ioctl::set_group(&tap.file, group).map_err(|source| tap.failed("give a group", source))?;
        }
        Ok(tap)
    }

    fn refused(&self, errno: Errno) -> Error {
        match errno {
            // A tap of that name, or a link of another kind (`tun_set_iff`, drivers/net/tun.c).
            Errno::EBUSY | Errno::EINVAL => Error::Taken { name: self.name.to_owned() },
            // It is another device.
            Errno::ENOTTY => Error::Open { source: errno.into() },
            errno => Error::Create { name: self.name.to_owned(), source: errno.into() },
        }
    }

    fn refused_in_context(&self, failure: Failure, context: &str) -> Error {
        let name = self.name.to_owned();
        match failure {
            Failure::Enter(errno) => Error::Context { name, context: context.to_owned(), source: errno.into() },
            Failure::Create(errno) => self.refused(errno),
            Failure::Copy(source) => Error::Create { name, source },
        }
    }
}

/// A tap that lasts as long as this value, and no longer, unless it is kept.
#[derive(Debug)]
#[must_use = "a tap that is not kept goes at once"]
pub struct Tap {
    file: File,
    name: String,
}

impl Tap {
    /// Makes it last until it is deleted, or its namespace ends.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn keep(self) -> Result<(), Error> {
        ioctl::persist(&self.file).map_err(|source| self.failed("keep", source))
    }

    fn failed(&self, action: &'static str, errno: Errno) -> Error {
        Error::Change { action, name: self.name.clone(), source: errno.into() }
    }
}

/// Makes sure that taps can be made here: the kernel has them, and /dev/net/tun is what it should be.
///
/// # Errors
/// What keeps them from being made; [`Error::NoMultiQueue`] if they could have one queue only.
pub fn probe(multi_queue: bool, selinux_context: bool) -> Result<(), Error> {
    let features = ioctl::features(&open()?).map_err(|errno| Error::Open { source: errno.into() })?;
    if multi_queue && !features.multi_queue {
        return Err(Error::NoMultiQueue);
    }
    if selinux_context { label::require_selinux() } else { Ok(()) }
}

fn open() -> Result<File, Error> {
    let opened = File::options().read(true).write(true).open(DEVICE);
    opened.map_err(|source: io::Error| Error::Open { source })
}
