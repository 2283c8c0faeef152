//! What the daemon says about one lease.

use std::time::Duration;

use crate::moment::Moment;
use crate::store::Key;

/// So many obstacles are told at once, and then one in each of these: what stands in the way may be what a stranger on the
/// link has sent, and it must not fill the disk.
const BURST: u32 = 20;
const PACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Log {
    key: Key,
    /// The last thing that stood in the way.
    obstacle: Option<String>,
    /// How many more may be told now.
    left: u32,
    counted: Moment,
}

impl Log {
    pub(super) fn new(key: Key) -> Self {
        Self { key, obstacle: None, left: BURST, counted: Moment::now() }
    }

    pub(super) fn say(&self, what: &str) {
        // In one piece: others may write to the same file.
        let line = format!("{}: {what}\n", self.key);
        eprint!("{line}");
    }

    /// Remembers what stands in the way, and says it once.
    pub(super) fn hinder(&mut self, obstacle: String) {
        if self.obstacle.as_ref() != Some(&obstacle) {
            if self.may_tell(Moment::now()) {
                self.say(&obstacle);
            }
            self.obstacle = Some(obstacle);
        }
    }

    /// What stood in the way is overcome.
    pub(super) fn clear(&mut self) {
        self.obstacle = None;
    }

    pub(super) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_deref()
    }

    fn may_tell(&mut self, now: Moment) -> bool {
        let earned = now.since(self.counted).as_millis() / PACE.as_millis();
        if earned > 0 {
            self.left = BURST.min(self.left.saturating_add(u32::try_from(earned).unwrap_or(BURST)));
            self.counted = now;
        }
        self.left.checked_sub(1).map(|left| self.left = left).is_some()
    }
}

/// An error and its causes on one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use cni_plugin::Attachment;

    use super::*;
    use ip::Family;

    #[test]
    fn a_stranger_cannot_fill_the_log() {
        let attachment = Attachment::new("net", "c1", "eth0").unwrap();
        let mut log = Log::new(Key { attachment, family: Family::V4 });
        let mut now = log.counted;
        assert_eq!((0..100).filter(|_| log.may_tell(now)).count(), 20);
        now = now.after(Duration::from_secs(35));
        assert_eq!((0..100).filter(|_| log.may_tell(now)).count(), 3);
        now = now.after(Duration::from_secs(1 << 30));
        assert_eq!((0..100).filter(|_| log.may_tell(now)).count(), 20);
    }
}
