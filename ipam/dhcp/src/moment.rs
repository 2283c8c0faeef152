use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A time on the clock that starts with the host and counts on while it is suspended (`CLOCK_BOOTTIME`), in
/// milliseconds. It cannot be set, so a lease ends when the server thinks that it does; and files below /run, whose life
/// it shares, may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The end of a lease that has none.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The present time.
    #[must_use]
    pub(crate) fn now() -> Self {
        // The clock is there since Linux 2.6.39; without it nothing would ever be due.
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has this clock");
        Self::from_boot(Duration::from(time))
    }

    /// So long after the host's start.
    #[must_use]
    pub(crate) fn from_boot(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// So much later; [`Moment::NEVER`] where it would not fit.
    #[must_use]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_boot(duration).0))
    }

    /// How long after `earlier` this is; nothing if it is before.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_and_never_never_comes() {
        let now = Moment::now();
        assert!(now <= Moment::now() && Moment::now() < Moment::NEVER);
        assert_eq!(Moment::NEVER.after(Duration::from_secs(1)), Moment::NEVER);
        assert_eq!(now.after(Duration::from_millis(1500)).since(now), Duration::from_millis(1500));
        assert_eq!(now.since(now.after(Duration::from_secs(1))), Duration::ZERO);
    }
}
