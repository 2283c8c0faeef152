//! The ioctls of /dev/net/tun (include/uapi/linux/if_tun.h).
#![expect(unsafe_code, reason = "nothing safe wraps the ioctls of tun")]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::{
    __c_anonymous_ifr_ifru, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN_EXCL, IFNAMSIZ, c_char, c_int, c_uint, ifreq,
};
use nix::{ioctl_read_bad, ioctl_readwrite_bad, ioctl_write_int_bad, request_code_read, request_code_write};

ioctl_readwrite_bad!(tunsetiff, request_code_write!(b'T', 202, size_of::<c_int>()), ifreq);
ioctl_write_int_bad!(tunsetpersist, request_code_write!(b'T', 203, size_of::<c_int>()));
ioctl_write_int_bad!(tunsetowner, request_code_write!(b'T', 204, size_of::<c_int>()));
ioctl_write_int_bad!(tunsetgroup, request_code_write!(b'T', 206, size_of::<c_int>()));
ioctl_read_bad!(tungetfeatures, request_code_read!(b'T', 207, size_of::<c_uint>()), c_uint);

/// What a new tap is to be.
pub(crate) struct Request(ifreq);

impl Request {
    /// `None` for a name that the kernel would cut, or fill in.
    pub(crate) fn new(name: &str, multi_queue: bool) -> Option<Self> {
        if name.is_empty() || name.len() >= IFNAMSIZ || name.contains(['%', '\0']) {
            return None;
        }
        // Without four bytes before each frame that say what it is. A program that attaches to the tap chooses anew, of all this only
        // several queues have to be asked for by both.
        let queues = if multi_queue { IFF_MULTI_QUEUE } else { 0 };
        let flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | queues;
        let [low, high, ..] = flags.to_le_bytes();
        let mut ifr_name = [0; IFNAMSIZ];
        for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
            *to = c_char::from_ne_bytes([from]);
        }
        let ifr_ifru = __c_anonymous_ifr_ifru { ifru_flags: i16::from_le_bytes([low, high]) };
        Some(Request(ifreq { ifr_name, ifr_ifru }))
    }
}

/// Makes the link, which lasts as long as the file is open. Nothing is allocated.
pub(crate) fn set_interface(file: &File, request: &mut Request) -> Result<(), Errno> {
    // SAFETY: the kernel reads an ifreq and writes one back, and this one lives until it returns.
    unsafe { tunsetiff(file.as_raw_fd(), &raw mut request.0) }.map(drop)
}

pub(crate) fn set_owner(file: &File, user: u32) -> Result<(), Errno> {
    // SAFETY: the argument is a number, so the kernel touches no memory of ours.
    unsafe { tunsetowner(file.as_raw_fd(), user.cast_signed()) }.map(drop)
}

pub(crate) fn set_group(file: &File, group: u32) -> Result<(), Errno> {
    // SAFETY: as above.
    unsafe { tunsetgroup(file.as_raw_fd(), group.cast_signed()) }.map(drop)
}

pub(crate) fn persist(file: &File) -> Result<(), Errno> {
    // SAFETY: as above.
    unsafe { tunsetpersist(file.as_raw_fd(), 1) }.map(drop)
}

/// What this kernel's tun can do.
pub(crate) struct Features {
    pub(crate) multi_queue: bool,
}

pub(crate) fn features(file: &File) -> Result<Features, Errno> {
    let mut features: c_uint = 0;
    // SAFETY: the kernel writes one unsigned int, which lives until it returns.
    unsafe { tungetfeatures(file.as_raw_fd(), &raw mut features) }?;
    Ok(Features { multi_queue: features & IFF_MULTI_QUEUE.cast_unsigned() != 0 })
}
