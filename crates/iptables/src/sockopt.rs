//! The two `getsockopt` calls with which the kernel hands out a legacy table; the only `unsafe` here.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc;

use crate::Family;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO` (linux/netfilter_ipv4/ip_tables.h, …ipv6/ip6_tables.h).
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
/// Bytes of a table's name field, NUL included (`XT_TABLE_MAXNAMELEN`).
const NAME: usize = 32;
/// Bytes of `struct ipt_getinfo`; the IPv6 one is the same.
const INFO: usize = 84;
/// Bytes before the entries in `struct ipt_get_entries`: name, size, padding to eight.
const ENTRIES_HEADER: usize = 40;
/// How often to ask again when the table was replaced between the two calls.
const ATTEMPTS: usize = 10;

/// A legacy table's description and its entries, as the kernel lays them out.
pub(crate) struct Blob {
    /// `struct ipt_getinfo`, [`INFO`] bytes.
    pub(crate) info: Vec<u8>,
    /// The entries (`struct ipt_entry`, or `ip6t_entry`), back to back.
    pub(crate) entries: Vec<u8>,
}

/// Reads a table in the calling thread's network namespace. The table has to be loaded: asking for another
/// one makes the kernel load it.
pub(crate) fn read(family: Family, table: &str) -> io::Result<Blob> {
    let socket = open(family)?;
    for _ in 0..ATTEMPTS {
        let mut info = named(table, INFO);
        get(&socket, family, GET_INFO, &mut info)?;
        let size = u32::from_ne_bytes([info[80], info[81], info[82], info[83]]);
        let mut entries = named(table, ENTRIES_HEADER + size as usize);
        entries[NAME..NAME + 4].copy_from_slice(&size.to_ne_bytes());
        match get(&socket, family, GET_ENTRIES, &mut entries) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(Blob { info, entries: entries.split_off(ENTRIES_HEADER) }),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// A zeroed request of `length` bytes that starts with the table's name.
fn named(table: &str, length: usize) -> Vec<u8> {
    let mut request = vec![0; length];
    for (to, from) in request.iter_mut().take(NAME - 1).zip(table.bytes()) {
        *to = from;
    }
    request
}

#[expect(unsafe_code, reason = "no safe binding opens a raw socket without pulling in a socket library")]
fn open(family: Family) -> io::Result<OwnedFd> {
    let domain = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    // SAFETY: socket() takes no pointers.
    let fd = unsafe { libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us, and nothing else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[expect(unsafe_code, reason = "these options are in no binding")]
fn get(socket: &OwnedFd, family: Family, option: libc::c_int, buffer: &mut [u8]) -> io::Result<()> {
    let level = match family {
        Family::V4 => libc::SOL_IP,
        Family::V6 => libc::SOL_IPV6,
    };
    let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(invalid)?;
    // SAFETY: the pointer and the length describe `buffer`, which is exclusively borrowed and initialised;
    // the kernel writes at most `length` bytes to it, and `length` itself is a valid socklen_t.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
