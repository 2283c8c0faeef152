//! Hearing of changes that any program makes.

use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::libc;

use crate::{Error, Reply, Result};

/// The kernel's notices to one multicast group, from the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Notices {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
}

impl Notices {
    /// Listens to a group (`NFNLGRP_*`) from now on.
    ///
    /// # Errors
    /// [`Error::Open`] if the kernel has no netfilter netlink or refuses.
    pub fn of(group: u32) -> Result<Self> {
        let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER).map_err(Error::Open)?;
        socket.bind_auto().map_err(Error::Open)?;
        socket.add_membership(group).map_err(Error::Open)?;
        Ok(Self { socket, buffer: Vec::with_capacity(crate::socket::BUFFER) })
    }

    /// Waits for a notice that `concerns` picks. Where so many came that some were lost, one of those may have been it, and
    /// the wait is over.
    ///
    /// # Errors
    /// A failure of the socket.
    pub fn wait_for(&mut self, concerns: impl Fn(&Reply<'_>) -> bool) -> Result<()> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) if self.holds(&concerns) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(Error::Receive(error)),
            }
        }
    }

    fn holds(&self, concerns: impl Fn(&Reply<'_>) -> bool) -> bool {
        let mut rest = self.buffer.as_slice();
        while let Some((message, after)) = netlink_message::Message::split(rest) {
            rest = after;
            if concerns(&Reply(message)) {
                return true;
            }
        }
        false
    }
}
