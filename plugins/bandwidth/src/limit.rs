//! How fast, in the units of the kernel.

use std::fmt;

use netlink::{Link, TokenBucket};

/// How long, at the rate, what comes on top of the burst may wait, in milliseconds: the reference's choice.
const LATENCY: u64 = 25;
/// Of each packet the kernel counts this much, in bytes, beside what the MTU allows: the Ethernet header.
const HEADER: u32 = 14;

/// Rate and burst of a token bucket (tc-tbf(8)) for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Bytes per second.
    pub(crate) rate: u64,
    /// The most that is sent at once, in bytes.
    pub(crate) burst: u32,
}

impl Limit {
    /// From bits per second and bits; none if both are 0 or left out. The error names the keys of that direction.
    pub(crate) fn from_bits(direction: &str, rate: Option<u64>, burst: Option<u64>) -> Result<Option<Self>, String> {
        let needs =
            |missing, given| Err(format!("\"{direction}{missing}\" is missing: \"{direction}{given}\" needs it"));
        let (rate, burst) = match (rate.unwrap_or(0), burst.unwrap_or(0)) {
            (0, 0) => return Ok(None),
            (_, 0) => return needs("Burst", "Rate"),
            (0, _) => return needs("Rate", "Burst"),
            (1..8, _) => return Err(format!("\"{direction}Rate\" is less than a byte (8 bits) a second")),
            (rate, burst) => (rate / 8, burst / 8),
        };
        match u32::try_from(burst) {
            Ok(burst) if burst < u32::MAX => Ok(Some(Self { rate, burst })),
            _ => Err(format!("\"{direction}Burst\" is too large: it has to be less than 4 GiB (34359738360 bits)")),
        }
    }

    /// What the kernel is asked for. Where the limit is more than it can count, it is as much as it can.
    pub(crate) fn bucket(self) -> TokenBucket {
        let limit = u32::try_from(self.queue()).unwrap_or(u32::MAX);
        TokenBucket { rate: self.rate, burst: self.burst, limit }
    }

    /// How much may wait, in bytes.
    fn queue(self) -> u128 {
        u128::from(self.rate) * u128::from(LATENCY) / 1000 + u128::from(self.burst)
    }

    /// One that lets the largest packet of a link through at all: the kernel never sends what is larger than the burst.
    pub(crate) fn raised_for(self, link: &Link) -> Self {
        Self { burst: self.burst.max(link.mtu.saturating_add(HEADER)), ..self }
    }

    /// Whether a link has this limit, or the one that it was raised to, which the reference does not do. The reference computes
    /// the queue in another way as well, which rounds, and begins at 0 again where it is more than the kernel can count.
    pub(crate) fn is_on(self, link: &Link, found: &TokenBucket) -> bool {
        self.is(found) || self.raised_for(link).is(found)
    }

    fn is(self, found: &TokenBucket) -> bool {
        let wrapped = self.queue() & u128::from(u32::MAX);
        let is_near = |queue: u128| queue.abs_diff(found.limit.into()) <= 1;
        found.rate == self.rate && (is_near(self.bucket().limit.into()) || is_near(wrapped))
    }
}

/// As CHECK shows what it expected.
impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&describe(&self.bucket()))
    }
}

/// As CHECK shows what it found.
pub(crate) fn describe(bucket: &TokenBucket) -> String {
    format!("{} bits per second with a queue of {} bytes", u128::from(bucket.rate) * 8, bucket.limit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limit(rate: u64, burst: u64) -> Limit {
        Limit::from_bits("ingress", Some(rate), Some(burst)).unwrap().unwrap()
    }

    #[test]
    fn bits_become_bytes() {
        assert_eq!(limit(20_000_000, 4_000_000), Limit { rate: 2_500_000, burst: 500_000 });
        assert_eq!(limit(15, 15), Limit { rate: 1, burst: 1 });
        assert_eq!(Limit::from_bits("ingress", Some(0), None), Ok(None));
        assert_eq!(limit(8, 34_359_738_359).burst, u32::MAX - 1);
        assert!(Limit::from_bits("ingress", Some(8), Some(34_359_738_360)).is_err());
    }

    #[test]
    fn what_arrives_in_25_ms_may_wait() {
        assert_eq!(limit(20_000_000, 4_000_000).bucket().limit, 562_500);
        assert_eq!(limit(u64::MAX, 4_000_000).bucket().limit, u32::MAX);
    }

    #[test]
    fn a_queue_may_be_rounded_as_the_reference_does_it() {
        let wanted = limit(20_000_000, 4_000_000);
        let found = |rate, limit| wanted.is(&TokenBucket { rate, burst: 0, limit });
        assert!(found(2_500_000, 562_500) && found(2_500_000, 562_499) && found(2_500_000, 562_501));
        assert!(!found(2_500_000, 562_498) && !found(2_500_001, 562_500));
    }

    #[test]
    fn a_queue_beyond_what_the_kernel_counts_is_known_in_both_suites_forms() {
        let wanted = limit(8_000_000, 34_359_738_359);
        let found = |limit| wanted.is(&TokenBucket { rate: 1_000_000, burst: 0, limit });
        assert!(found(u32::MAX) && found(24_998) && !found(24_000));
    }
}
