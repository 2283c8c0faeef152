//! How far long work has come, for a person at a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Work that is done before that is not long.
const LONG: Duration = Duration::from_millis(300);
/// More often nobody can read it.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether the line is on the terminal. Whoever writes to it hides the line first.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// The line on stderr `removing networks: 3 of 60`, if that is a terminal and the work long. It is gone with the value.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    total: usize,
    done: usize,
    /// `None` if there is nobody to show it to.
    next: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let next = (total > 1 && io::stderr().is_terminal()).then(|| Instant::now() + LONG);
        Self { what, total, done: 0, next }
    }

    /// The next part begins.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + INTERVAL);
            self.show();
        }
    }

    fn show(&self) {
        IS_SHOWN.store(true, Ordering::Relaxed);
        // It is no loss.
        let _ = write!(io::stderr().lock(), "\r\x1b[K{}: {} of {}", self.what, self.done, self.total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        hide();
    }
}

/// Takes the line away, to write something else.
pub(super) fn hide() {
    if IS_SHOWN.swap(false, Ordering::Relaxed) {
        // It is no loss.
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
}
