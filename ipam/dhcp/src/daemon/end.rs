//! Why the task of a lease ends.

use std::time::Duration;

use cni_plugin::{Code, Error};
use tokio::sync::oneshot;

use super::log::describe;
use super::place::PlaceError;
use crate::Error as StoreError;
use crate::lease::protocol;
use crate::store::Key;
use ip::Family;

#[derive(Debug)]
pub(super) enum End {
    /// A caller wants it, and waits until it is done.
    Stopped {
        /// Tell the server.
        release: bool,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
    /// The daemon ends; the next one takes the lease up.
    Left,
    /// The namespace or the interface is gone.
    Gone(String),
    /// The ADD that wanted the lease has failed.
    Failed(Error),
}

impl End {
    /// The interface cannot speak.
    pub(super) fn unable(key: &Key, error: PlaceError) -> Self {
        match error {
            PlaceError::Gone(why) => Self::Gone(why),
            error => {
                let msg = format!("{} cannot be got for {}", protocol(key.family), key.attachment);
                Self::Failed(Error::new(Code::Internal, msg).with_details(describe(&error)))
            }
        }
    }

    /// The interface could not send anything for that time.
    pub(super) fn no_carrier(key: &Key, waited: Duration) -> Self {
        let what = match key.family {
            Family::V4 => "no carrier",
            Family::V6 => "no carrier, or no link-local address that it could use,",
        };
        let msg = format!("interface {} had {what} within {} s", key.attachment.ifname, waited.as_secs_f64());
        Self::Failed(Error::new(Code::TryAgainLater, msg).with_details("is the link that it sits on up?"))
    }

    /// No server gave an address within that time; with the reason, if one is known.
    pub(super) fn no_lease(key: &Key, waited: Duration, obstacle: Option<&str>) -> Self {
        let (protocol, ifname) = (protocol(key.family), &key.attachment.ifname);
        let msg = format!("no {protocol} server gave an address over {ifname} within {} s", waited.as_secs_f64());
        let details = obstacle
            .unwrap_or("is there one on the link, or a relay? The daemon's flag -resendtimeout says how long to wait");
        Self::Failed(Error::new(Code::TryAgainLater, msg).with_details(details))
    }
}
