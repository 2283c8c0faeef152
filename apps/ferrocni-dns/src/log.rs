//! What the server says to whoever runs it.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// So many troubles are told at once, and then one in each of these: what causes them may be what a container does, and it must
/// not fill the disk.
const BURST: u32 = 20;
const PACE: Duration = Duration::from_secs(10);

/// The last trouble's time and how many more may be told now.
#[derive(Debug)]
struct Allowance {
    left: Cell<u32>,
    counted: Cell<Instant>,
}

thread_local! {
    static TROUBLES: Allowance = Allowance::new(Instant::now());
}

/// Tells something that happens rarely.
pub(crate) fn say(what: &str) {
    // In one piece: others may write to the same file.
    let line = format!("ferrocni-dns: {what}\n");
    eprint!("{line}");
}

/// Tells of a trouble, unless there were too many.
pub(crate) fn trouble(what: &str) {
    if TROUBLES.with(|allowance| allowance.take(Instant::now())) {
        say(what);
    }
}

/// An error and its causes on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: Cell::new(BURST), counted: Cell::new(now) }
    }

    fn take(&self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.counted.get()).as_millis() / PACE.as_millis();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(BURST);
            self.left.set(BURST.min(self.left.get().saturating_add(earned)));
            self.counted.set(now);
        }
        self.left.get().checked_sub(1).map(|left| self.left.set(left)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_cannot_fill_the_log() {
        let mut now = Instant::now();
        let allowance = Allowance::new(now);
        assert_eq!((0..100).filter(|_| allowance.take(now)).count(), 20);
        now += Duration::from_secs(35);
        assert_eq!((0..100).filter(|_| allowance.take(now)).count(), 3);
        now += Duration::from_secs(1 << 20);
        assert_eq!((0..100).filter(|_| allowance.take(now)).count(), 20);
    }
}
