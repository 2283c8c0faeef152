//! How far long work has come, for a person at a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    done: AtomicUsize,
    /// `None` if there is nobody to show it to.
    next: Option<Mutex<Instant>>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let next = (total > 1 && io::stderr().is_terminal()).then(|| Mutex::new(Instant::now() + LONG));
        Self { what, total, done: AtomicUsize::new(0), next }
    }

    /// The next part begins.
    pub(crate) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Another thread that has it shows it.
        let Some(mut next) = self.next.as_ref().and_then(|next| next.try_lock().ok()) else { return };
        let now = Instant::now();
        if *next <= now {
            *next = now + INTERVAL;
            self.show(done);
        }
    }

    fn show(&self, done: usize) {
        IS_SHOWN.store(true, Ordering::Relaxed);
        // It is no loss.
        let _ = write!(io::stderr().lock(), "\r\x1b[K{}: {} of {}", self.what, done, self.total);
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
