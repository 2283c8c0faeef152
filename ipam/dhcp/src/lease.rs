//! What a server gives, in the terms that both families share.

use std::net::IpAddr;
use std::time::Duration;

use cni_plugin::{Dns, IpConfig, Route};
use ip::Family;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The protocol that gives addresses of a family.
#[must_use]
pub(crate) fn protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => "DHCPv4",
        Family::V6 => "DHCPv6",
    }
}

/// What an interface gets with a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The address with its subnet's prefix length.
    #[serde(with = "cni_plugin::cidr")]
    pub(crate) address: IpNetwork,
    /// The subnet's router.
    pub(crate) gateway: Option<IpAddr>,
    /// Its routes, the default route included.
    pub(crate) routes: Vec<Route>,
    /// Name servers and domains for the resolver.
    pub(crate) dns: Dns,
}

impl Settings {
    /// The family of the address, and so the protocol that it came by.
    #[must_use]
    pub(crate) fn family(&self) -> Family {
        if self.address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The address as an ADD reports it.
    #[must_use]
    pub(crate) fn ip(&self) -> IpConfig {
        IpConfig::new(self.address, self.gateway)
    }
}

/// An address that is ours until a certain moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The address and the settings that the server sent with it.
    pub(crate) settings: Settings,
    /// Who gave it: option 54 of DHCPv4, the server's DUID of DHCPv6.
    pub(crate) server: Vec<u8>,
    /// T1: when to ask that server for more time.
    pub(crate) renew_at: Moment,
    /// T2: when to ask every server.
    pub(crate) rebind_at: Moment,
    /// When the address is not ours any more.
    pub(crate) expires_at: Moment,
}

/// A lease as a server's message gives it, its times counted from the moment it was asked for (RFC 2131, section 4.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) settings: Settings,
    pub(crate) server: Vec<u8>,
    pub(crate) times: Times,
}

impl Grant {
    pub(crate) fn from(self, asked: Moment) -> Lease {
        let at = |time: Option<Duration>| time.map_or(Moment::NEVER, |time| asked.after(time));
        Lease {
            settings: self.settings,
            server: self.server,
            renew_at: at(self.times.renew),
            rebind_at: at(self.times.rebind),
            expires_at: at(self.times.valid),
        }
    }
}

/// How long a lease is; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) renew: Option<Duration>,
    pub(crate) rebind: Option<Duration>,
    pub(crate) valid: Option<Duration>,
}

/// What stands for ever in both protocols.
pub(crate) const INFINITY: u32 = u32::MAX;

/// However short a lease is, the server is not asked more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

impl Times {
    /// From seconds in a message. `renew` and `rebind` count only if they come in this order before the end; in their place
    /// stand then these thousandths of `span`, the time that the protocol counts them from.
    pub(crate) fn new(valid: u32, span: u32, renew: Option<u32>, rebind: Option<u32>, defaults: [u64; 2]) -> Self {
        if valid == INFINITY && span == INFINITY {
            return Self { renew: None, rebind: None, valid: None };
        }
        let span = if span == INFINITY { valid } else { span };
        let seconds = |time: u32| Duration::from_secs(time.into());
        let in_order = |renew: &(u32, u32)| renew.0 > 0 && renew.0 <= renew.1 && renew.1 <= valid;
        let given = renew.zip(rebind).filter(in_order).map(|(renew, rebind)| (seconds(renew), seconds(rebind)));
        let share = |thousandths: u64| Duration::from_millis(u64::from(span) * thousandths);
        let (renew, rebind) = given.unwrap_or((share(defaults[0]), share(defaults[1])));
        let renew = renew.max(SHORTEST);
        Self { renew: Some(renew), rebind: Some(rebind.max(renew)), valid: (valid != INFINITY).then(|| seconds(valid)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u64; 2] = [500, 875];

    fn seconds(times: Times) -> [Option<f64>; 3] {
        [times.renew, times.rebind, times.valid].map(|time| time.map(|time| time.as_secs_f64()))
    }

    #[test]
    fn times_that_are_missing_are_shares_of_the_lease() {
        assert_eq!(seconds(Times::new(3600, 3600, None, None, V4)), [Some(1800.0), Some(3150.0), Some(3600.0)]);
        assert_eq!(seconds(Times::new(100, 50, None, None, [500, 800])), [Some(25.0), Some(40.0), Some(100.0)]);
    }

    #[test]
    fn times_that_are_out_of_order_do_not_count() {
        let default = Times::new(100, 100, None, None, V4);
        for (renew, rebind) in [(60, 50), (0, 50), (10, 101), (0, 0), (u32::MAX, u32::MAX)] {
            assert_eq!(Times::new(100, 100, Some(renew), Some(rebind), V4), default, "{renew} {rebind}");
        }
        assert_eq!(seconds(Times::new(100, 100, Some(2), Some(4), V4)), [Some(2.0), Some(4.0), Some(100.0)]);
    }

    #[test]
    fn for_ever_is_for_ever() {
        assert_eq!(seconds(Times::new(INFINITY, INFINITY, Some(5), Some(6), V4)), [None; 3]);
    }

    /// A server that gives a second at a time cannot make the client its flood.
    #[test]
    fn nobody_is_asked_more_than_once_a_second() {
        let times = Times::new(1, 1, None, None, V4);
        assert_eq!(times.renew, Some(SHORTEST));
        assert!(times.rebind >= times.renew);
    }
}
