//! Room for a datagram. One is enough: it is read and dealt with before anything else happens.

use std::cell::RefCell;

/// No datagram is longer, in bytes.
const LONGEST: usize = 65535;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

/// Lends the room to `work`, which cannot use it again inside.
pub(crate) fn with<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with(|buffer| work(&mut buffer.borrow_mut()))
}
