//! What the kernel still does after its state has changed, left to a child process.
//!
//! Deleting a link and removing nftables elements take effect within a millisecond, but the system call that did it, or the
//! one that closes its socket, returns only after an RCU grace period: 10 to 30 ms, in which the kernel makes sure that
//! nothing uses the memory any more. Stopping a container does not have to wait for that.
//!
//! - A link is deleted by a child ([`send`]), while the caller listens for the notification that it has left its namespace.
//! - Netfilter sockets stay open until the program ends ([`keep`]). If it has removed something ([`expect`]), a child that
//!   inherits them closes them a second later. Any earlier they would have to wait, and hold up every other change of the
//!   ruleset meanwhile (`nft_rcv_nl_event`, net/netfilter/nf_tables_api.c); after a burst of removals there is nothing left to
//!   wait for. What another program removed just then would be waited for as well, so for a moment after a removal, which a name in the
//!   network namespace tells, others leave theirs to children too.
//!
//! Such a child has those sockets and nothing else: no standard input or output, no lock, no file, a session of its own. If
//! it is killed, what it waits for happens all the same. It outlives its parent, so another process has to reap it. Where
//! that is not sure to happen ([`reaper`]), or no child can be made, the caller waits itself.

mod child;
pub mod reaper;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;

pub use child::Child;

/// The name that [`leave_to_child`] is about.
const SIGN: &str = "ferrocni-aftermath";

/// The most sockets that are kept. A program that goes on running closes the others at once.
const MOST: usize = 64;
/// The most of them that have only asked: there may be one for each of a thousand namespaces.
const MOST_THAT_ASKED: usize = 32;

static STATE: Mutex<State> = Mutex::new(State { kept: Vec::new(), expected: false, ends_with_us: false });

struct State {
    kept: Vec<OwnedFd>,
    /// Closing them would wait.
    expected: bool,
    /// [`leave`] will be called at the end.
    ends_with_us: bool,
}

/// Keeps a socket open, to be closed when the program ends, or by the next child. Whether it has changed something: closing it would
/// wait for that, and closing another only for what was changed just then.
pub fn keep(socket: OwnedFd, has_changed: bool) {
    with_state(|state| {
        if !state.ends_with_us {
            child::at_exit(leave);
            state.ends_with_us = true;
        }
        if state.kept.len() < if has_changed { MOST } else { MOST_THAT_ASKED } {
            state.kept.push(socket);
        }
    });
}

/// Says that the kernel has something to free, or will have: when the program ends, a child closes what was kept.
pub fn expect() {
    with_state(|state| state.expected = true);
}

/// Has a child send `datagram` on `socket`, whatever time the kernel takes for it, and close what was kept.
///
/// # Errors
/// Why there is no child; nothing was sent.
pub fn send(socket: BorrowedFd<'_>, datagram: &[u8]) -> io::Result<Child> {
    reaper::require()?;
    leave_to_child(&take_kept(), Some((socket, datagram)))
}

/// At the end of the program. If there can be no child, the kernel closes the sockets, and the end waits for that.
extern "C" fn leave() {
    let kept = take_kept();
    let would_wait = || is_expected() || is_sign_taken();
    if !kept.is_empty() && would_wait() && reaper::require().is_ok() {
        let _ = leave_to_child(&kept, None);
    }
}

/// The child of who has removed something holds a name in its network namespace (unix(7), abstract) as long as the kernel has something to
/// free, for all to see. Who finds it taken does without. Any program can take it, which makes others leave their sockets to children, and
/// nothing else.
fn leave_to_child(kept: &[OwnedFd], message: Option<(BorrowedFd<'_>, &[u8])>) -> io::Result<Child> {
    let sign = if !kept.is_empty() && is_expected() { sign().ok() } else { None };
    child::spawn(kept, sign.as_ref().map(AsFd::as_fd), message)
}

fn is_sign_taken() -> bool {
    sign().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn sign() -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(SIGN)?)
}

fn is_expected() -> bool {
    with_state(|state| state.expected)
}

fn take_kept() -> Vec<OwnedFd> {
    with_state(|state| std::mem::take(&mut state.kept))
}

/// Whatever panicked meanwhile, a list of sockets is a list of sockets.
fn with_state<T>(action: impl FnOnce(&mut State) -> T) -> T {
    action(&mut STATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}
