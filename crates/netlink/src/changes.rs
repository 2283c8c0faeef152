use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::libc;

use crate::error::Result;
use crate::netns::Netns;
use crate::socket::Socket;
use crate::wait::{RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK};

/// A socket that becomes readable when a link of a namespace, or an IPv6 address of one, changes: for an event loop, which
/// cannot be kept waiting by [`Socket::wait_until_running`].
///
/// It does not say what has changed. Open it, look, wait until it is readable, [`clear`](Changes::clear) it, look again:
/// then no change is missed.
#[derive(Debug)]
pub struct Changes(Socket);

impl Changes {
    /// Listens in `netns` from now on.
    ///
    /// # Errors
    /// As for [`Socket::open_in`].
    pub fn open_in(netns: &Netns) -> Result<Self> {
        let mut socket = Socket::open_in(netns)?;
        socket.take_port()?;
        for group in [RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR] {
            socket.subscribe(group)?;
        }
        Ok(Self(socket))
    }

    /// Takes away everything that was heard until now.
    ///
    /// # Errors
    /// That of the socket. Notifications that were lost because there were too many are no error: that they came is all
    /// that counts.
    pub fn clear(&self) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            match self.0.receive(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(()) => {}
                Err(error) => match error.errno() {
                    Some(libc::EAGAIN) => return Ok(()),
                    Some(libc::ENOBUFS) | None => {}
                    Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                },
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Changes {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
