use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the tokio runtime tell when there is something to read from a socket that it does not know. It watches a copy of
/// the descriptor, so the socket stays its owner's, to be read and written as before.
///
/// # Errors
/// Out of descriptors.
///
/// # Panics
/// Outside of a runtime.
#[expect(unsafe_code, reason = "tokio cannot know whose descriptor it is given")]
pub fn watch(socket: &impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    let copy = socket.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor was made a moment ago and is owned by the value that is registered, which alone can close
    // it, and whose as_raw_fd() is always the same.
    let watched = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}
