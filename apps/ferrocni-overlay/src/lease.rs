//! The sign of life: a lease that is renewed three times before it would end, and what ends with it.

use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::etcd::{Etcd, bounded};

/// A lease of this host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    renewed: Instant,
}

impl Lease {
    /// A new one.
    pub(crate) async fn grant(etcd: &mut Etcd, time_to_live: Duration) -> Result<Self, Error> {
        let seconds = i64::try_from(time_to_live.as_secs()).unwrap_or(i64::MAX);
        let granted = bounded("grant a lease", etcd.client.lease_grant(seconds, None)).await?;
        Ok(Self { id: granted.id(), renewed: Instant::now() })
    }

    /// Makes it last another while; `false` if it has ended.
    pub(crate) async fn renew(&mut self, etcd: &mut Etcd) -> Result<bool, Error> {
        match bounded("renew the lease", etcd.client.lease_keep_alive(self.id)).await {
            // It ends as soon as it is dropped; the lease was renewed when it began.
            Ok(_keeper) => {
                self.renewed = Instant::now();
                Ok(true)
            }
            Err(Error::Etcd { reason, .. }) if matches!(*reason, etcd_client::Error::LeaseKeepAliveError(_)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is time to renew it.
    pub(crate) fn is_due(&self, time_to_live: Duration) -> bool {
        self.renewed.elapsed() >= time_to_live / 3
    }
}
