//! What a daemon tells systemd (`sd_notify(3)`).

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

/// systemd reads at once, unless it is being restarted itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where systemd listens to this daemon.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: UnixAddr,
}

impl Manager {
    /// The one that has started this process, if it wants to hear of it (`NOTIFY_SOCKET`).
    ///
    /// # Errors
    /// The variable is not the address of a socket, or there is no descriptor left.
    pub fn of_environment() -> io::Result<Option<Self>> {
        std::env::var("NOTIFY_SOCKET").ok().filter(|path| !path.is_empty()).map(|path| Self::at(&path)).transpose()
    }

    fn at(path: &str) -> io::Result<Self> {
        let address = match path.strip_prefix('@') {
            Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
            None => UnixAddr::new(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address })
    }

    /// Tells it that the daemon does its work.
    ///
    /// # Errors
    /// Nobody listens, or not within a second.
    pub fn ready(&self) -> io::Result<()> {
        self.tell("READY=1", &[])
    }

    /// Gives it sockets to keep under a name, for the next daemon should this one end. It needs `FileDescriptorStoreMax=`.
    ///
    /// # Errors
    /// As [`Manager::ready`].
    pub fn store(&self, name: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        // It would take what has an error for useless, such as a socket whose last datagram found nobody.
        self.tell(&format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), sockets)
    }

    /// Has it close what it keeps under a name.
    ///
    /// # Errors
    /// As [`Manager::ready`].
    pub fn discard(&self, name: &str) -> io::Result<()> {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
    }

    fn tell(&self, what: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
        let message = [IoSlice::new(what.as_bytes())];
        sendmsg(self.socket.as_raw_fd(), &message, control, MsgFlags::MSG_NOSIGNAL, Some(&self.address))?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{IoSliceMut, Read as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use nix::cmsg_space;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    fn it_hears_what_is_told_and_gets_the_sockets() {
        let path = std::env::temp_dir().join(format!("manager-{}", std::process::id()));
        let listening = UnixDatagram::bind(&path).unwrap();
        let manager = Manager::at(path.to_str().unwrap()).unwrap();
        let (mut end, other) = UnixStream::pair().unwrap();
        manager.store("a", &[other.as_fd()]).unwrap();
        manager.ready().unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(other);
        let mut buffer = [0; 100];
        let mut space = cmsg_space!([RawFd; 2]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<()>(listening.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
        let rights: Vec<_> = received.cmsgs().unwrap().collect();
        assert!(matches!(&rights[..], [ControlMessageOwned::ScmRights(numbers)] if numbers.len() == 1), "{rights:?}");
        let length = received.bytes;
        assert_eq!(&buffer[..length], b"FDSTORE=1\nFDPOLL=0\nFDNAME=a");
        let length = listening.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        end.set_nonblocking(true).unwrap();
        assert_eq!(end.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock, "the other end is still open");
    }
}
